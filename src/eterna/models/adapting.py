"""LoRA by PEFT."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def adapters_merged(model: Any) -> Iterator[None]:
    """Within, adapters are part of the weights they stand on, where those are float32: one product instead of three.

    The weights from before stand aside meanwhile and come back as they were, bit for bit.
    """
    kept: list[tuple[Any, Any]] = []
    try:
        if hasattr(model, "peft_config"):
            for layer in _mergeable(model):
                weight = layer.get_base_layer().weight
                kept.append((layer, weight.data))
                weight.data = weight.data.clone()
                layer.merge()
        yield
    finally:
        for layer, before in kept:
            layer.get_base_layer().weight.data = before
            layer.merged_adapters.clear()


def _mergeable(model: Any) -> Iterator[Any]:
    """Adapters of plain LoRA on weights of their own; a weight that two layers share would change both."""
    import torch
    from peft.tuners.lora import Linear

    owners = Counter(id(weight) for module in model.modules() for weight in module._parameters.values())
    for layer in list(model.modules()):
        if isinstance(layer, Linear) and not (layer.disable_adapters or layer.merged):
            weight = layer.get_base_layer().weight
            plain = type(weight) is torch.nn.Parameter and weight.dtype == torch.float32 and owners[id(weight)] == 1
            active = [name for name in layer.active_adapters if name in layer.lora_A]
            if plain and active and not any(layer.lora_bias[name] or name in layer.lora_variant for name in active):
                yield layer
