"""The estimate of activation memory against the paper's own figure and against what autograd keeps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from eterna.models import estimate_activations


def shape(**values: Any) -> Any:
    made = SimpleNamespace(**values)
    made.get_text_config = lambda: made
    return made


def test_the_terms_of_the_paper() -> None:
    """GPT-3 (arXiv:2205.05198, section 5): attention scores are 80 beside the 34 of everything else."""
    gpt3 = shape(num_hidden_layers=96, hidden_size=12288, num_attention_heads=96, vocab_size=0)
    one = 2048 * 12288
    assert estimate_activations(gpt3, 1, 2048, attention="eager").kept == 96 * one * (34 + 80)
    assert estimate_activations(gpt3, 1, 2048, attention="sdpa").kept == 96 * one * 34
    assert estimate_activations(gpt3, 1, 2048).recomputed == 96 * one * 2 + one * 34
    assert estimate_activations(gpt3, 3, 2048, element=4).kept == 3 * 2 * 96 * one * 34


def kept_bytes(folder: Path, checkpointing: bool) -> int:
    """Bytes that autograd saves in one forward pass of 4 rows of 128 tokens, each storage once, weights apart."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    ids = torch.arange(4 * 128).reshape(4, 128) % 300
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(input_ids=ids, use_cache=False).logits
        torch.nn.functional.cross_entropy(output.flatten(0, 1), ids.flatten())
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_autograd_keeps_about_as_much_as_estimated_and_less_with_checkpointing(tiny_model: Path) -> None:
    from transformers import AutoConfig

    guess = estimate_activations(AutoConfig.from_pretrained(tiny_model), 4, 128, element=4)
    whole, light = kept_bytes(tiny_model, False), kept_bytes(tiny_model, True)
    assert 0.5 < whole / guess.kept < 2
    # Checkpointing computes its one layer in the backward pass, where this count does not look.
    assert light < whole
    assert light < guess.recomputed
    assert 0.5 < (whole - light) / (guess.kept - guess.recomputed) < 3
