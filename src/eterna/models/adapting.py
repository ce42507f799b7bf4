"""LoRA by PEFT."""

from __future__ import annotations

import warnings
from typing import Any

from eterna.config import LoraSection
from eterna.errors import ModelError
from eterna.models.targets import check_lora
from eterna.text import first_line

# Settings with which a model without its adapter is not the base any more.
CHANGES_BASE = ("layer_replication", "kasa_config")
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal")


def add_lora(
    model: Any, lora: LoraSection, seed: int, commit: str | None = None, notes: list[str] | None = None
) -> Any:
    """Wrap the model with adapters drawn from `seed`. PEFT's warnings are added to `notes`.

    `commit` of a Hub model is written into the adapter, so that it finds the weights it was trained on.
    Raises ConfigError or ModelError for what cannot work.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from eterna.seeding import seed_for

    check_lora(model, lora)
    values = lora.model_dump(exclude_none=True)
    if lora.lora_alpha == int(lora.lora_alpha):
        values["lora_alpha"] = int(lora.lora_alpha)
    try:
        with torch.random.fork_rng(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            torch.manual_seed(seed_for(seed, "lora"))
            adapted = get_peft_model(model, LoraConfig(**values), revision=commit)
    except (ValueError, TypeError, AttributeError) as error:  # the last for tied layers in PEFT 0.18
        raise ModelError(f"PEFT refuses the lora section: {first_line(error)}", fix="see PEFT's LoraConfig") from error
    said = [str(warning.message) for warning in caught if warning.category is UserWarning]
    if notes is not None:
        # PEFT sets fan_in_fan_out by itself where a layer is stored transposed (GPT-2) and says so.
        notes += dict.fromkeys(text for text in said if not text.startswith("fan_in_fan_out is set to"))
    return adapted


def keeps_base(lora: LoraSection) -> bool:
    """Whether the base is exactly what remains when the adapter is switched off."""
    values = lora.model_dump()
    start = values.get("init_lora_weights")
    return lora.bias == "none" and start in PLAIN_STARTS and all(values.get(key) is None for key in CHANGES_BASE)


def trainable_share(model: Any) -> tuple[int, int]:
    """(trainable, all) parameter counts."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(count for count, trained in counts if trained), sum(count for count, _ in counts)
