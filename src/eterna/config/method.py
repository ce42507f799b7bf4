"""How a run trains its model, in the same words everywhere."""

from __future__ import annotations

from eterna.config.sections import RunConfig


def method_of(config: RunConfig) -> str:
    """`LoRA r=8`, `QLoRA r=8 on nf4`, `full fine-tuning` or `training from random weights`."""
    if config.lora:
        quantization = config.model.quantization
        rank = f"LoRA r={config.lora.r}"
        return rank if quantization == "none" else f"Q{rank} on {quantization}"
    return "training from random weights" if config.model.init == "random" else "full fine-tuning"
