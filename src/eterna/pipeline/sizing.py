"""What the model is made of and how much memory training it takes, worked out on a model without storage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eterna.config import RunConfig
from eterna.errors import ModelError
from eterna.models import (
    NF4_BYTES,
    Activations,
    add_lora,
    check_quantization,
    estimate_activations,
    quantized_layers,
    trainable_share,
)
from eterna.models.loading import find_model, readable_failure
from eterna.models.weight_files import check_tensors
from eterna.text import first_line

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Size:
    """Counts, and bytes on one device."""

    parameters: int
    """Of the model itself, without adapters."""
    trained: int
    weights: float
    training: float
    """Gradients and optimizer state."""
    activations: Activations
    notes: list[str]
    """What PEFT and the optimizer's package have to say."""


def measure_size(config: RunConfig, shape: Any, arguments: Any, precision: str) -> Size:
    """Build the model without storage, adapt it, try the optimizer. Raises ModelError or ConfigError."""
    from eterna.training import probe_optimizer

    model = _empty_model(config, shape)
    check_quantization(config.model, config.lora, model)
    if config.model.init == "pretrained" and (folder := Path(find_model(config.model.name))).is_dir():
        check_tensors(folder, model)
    attention = model.config._attn_implementation
    parameters = trained = trainable_share(model)[1]
    held = _held_bytes(config, model, parameters, precision)
    notes: list[str] = []
    if config.lora:
        import torch

        with torch.device("meta"):
            model = add_lora(model, config.lora, config.training.seed, notes=notes)
        trained, everything = trainable_share(model)
        if not trained:
            raise ModelError("the lora section trains nothing", fix="see lora.target_modules")
        held += 4.0 * max(everything - parameters, 0)
    state, said = probe_optimizer(arguments, model)
    rows, length = config.training.per_device_train_batch_size, config.data.max_length
    activations = estimate_activations(shape, rows, length, BYTES[precision], attention)
    return Size(parameters, trained, held, trained * (4 + state), activations, notes + said)


def _empty_model(config: RunConfig, shape: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    attention = config.model.attention
    options = {} if attention == "auto" else {"attn_implementation": attention}
    with torch.device("meta"), readable_failure(config.model.name):
        try:
            return AutoModelForCausalLM.from_config(shape, **options)
        except ImportError as error:
            message = f"model.attention: {attention} does not work here: {first_line(error)}"
            raise ModelError(message, fix="model.attention: auto") from error


def _held_bytes(config: RunConfig, model: Any, parameters: int, precision: str) -> float:
    """Bytes of the weights as `load_model` holds them."""
    if config.model.quantization == "nf4":
        packed = sum(quantized_layers(model).values())
        return packed * NF4_BYTES + (parameters - packed) * 4.0
    if config.model.dtype != "auto":
        return float(parameters * BYTES[config.model.dtype])
    return float(parameters * (BYTES[precision] if config.lora else 4))


def describe_memory(size: Size, checkpointing: bool) -> str:
    """One line: weights, what training adds, activations with what checkpointing saves."""
    mebi = 2**20
    fixed = f"{size.weights / mebi:,.0f} MiB of weights, {size.training / mebi:,.0f} MiB of gradients and optimizer"
    kept, recomputed = size.activations.kept / mebi, size.activations.recomputed / mebi
    if checkpointing:
        return f"{fixed}, about {recomputed:,.0f} MiB of activations ({kept:,.0f} without checkpointing)"
    return f"{fixed}, about {kept:,.0f} MiB of activations ({recomputed:,.0f} with activation_checkpointing)"
