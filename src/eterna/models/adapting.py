"""LoRA by PEFT, with a check that every target exists."""

from __future__ import annotations

import warnings
from typing import Any

from eterna.config import LoraSection
from eterna.errors import ModelError
from eterna.text import name_hint


def add_lora(model: Any, lora: LoraSection, seed: int, commit: str | None = None) -> Any:
    """Wrap the model with adapters drawn from `seed`. Raises ModelError when a target matches no layer.

    `commit` of a Hub model is written into the adapter, so that it finds the weights it was trained on.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from eterna.seeding import seed_for

    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules() if name}
    for target in lora.target_modules if isinstance(lora.target_modules, list) else []:
        if not any(name == target or name.endswith(f".{target}") for name, _ in model.named_modules()):
            leaves = {name for name in names if not name.isdigit()}
            raise ModelError(
                f"lora.target_modules names {target!r}, which this model does not have", fix=name_hint(target, leaves)
            )
    values = lora.model_dump(exclude_none=True)
    if lora.lora_alpha == int(lora.lora_alpha):
        values["lora_alpha"] = int(lora.lora_alpha)
    try:
        with torch.random.fork_rng(), warnings.catch_warnings():
            # PEFT sets fan_in_fan_out by itself where a layer is stored transposed (GPT-2) and warns about it.
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
            torch.manual_seed(seed_for(seed, "lora"))
            return get_peft_model(model, LoraConfig(**values), revision=commit)
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"PEFT refuses the lora section: {str(error).splitlines()[0][:300]}", fix="see PEFT's LoraConfig"
        ) from error


def trainable_share(model: Any) -> tuple[int, int]:
    """(trainable, all) parameter counts."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(count for count, trained in counts if trained), sum(count for count, _ in counts)
