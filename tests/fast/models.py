"""Tiny models of the architectures that the fast path knows, examples for them, and plain transformers beside it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from eterna.config import LoraSection
from eterna.data import Encoded
from eterna.data.batches import Collator
from eterna.fast import FastPath
from eterna.models import add_lora
from eterna.training.micro_batches import without_padding

VOCABULARY = 333
SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 512,
}
GPT2: dict[str, Any] = {"n_embd": 64, "n_layer": 3, "n_head": 4, "vocab_size": VOCABULARY, "n_positions": 512}
MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "mistral with a window and tied heads": lambda: MistralForCausalLM(
        MistralConfig(**SHAPE, sliding_window=20, tie_word_embeddings=True)
    ),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "qwen2 with a window in one layer": lambda: Qwen2ForCausalLM(
        Qwen2Config(**SHAPE, use_sliding_window=True, sliding_window=15, max_window_layers=2)
    ),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**SHAPE, head_dim=32)),
    "gemma with silu": lambda: GemmaForCausalLM(GemmaConfig(**SHAPE, head_dim=16, hidden_act="silu")),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**GPT2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)),
}
LINEARS = {"gpt2": ["c_attn", "c_proj"]}


def make(name: str, lora: bool, dropout: float = 0.0, seed: int = 0) -> Any:
    """A model with random weights; with LoRA, its B matrices are not zero, so that every gradient is there."""
    torch.manual_seed(seed)
    model = MODELS[name]()
    if not lora:
        return model
    targets = LINEARS.get(name, ["q_proj", "v_proj", "down_proj"])
    section = LoraSection(r=4, lora_alpha=8, target_modules=targets, lora_dropout=dropout)
    adapted = add_lora(model, section, seed)
    for parameter_name, parameter in adapted.named_parameters():
        if "lora_B" in parameter_name:
            nn.init.normal_(parameter, std=0.05)
    return adapted


def examples(lengths: tuple[int, ...] = (50, 7, 120, 33)) -> list[Encoded]:
    """Masked prompts of a third, then weights of 1, 0.5 and 2."""
    draw = random.Random(1)
    found = []
    for number, length in enumerate(lengths):
        ids = tuple(draw.randrange(VOCABULARY) for _ in range(length))
        weights = [0.0 if place < length // 3 else draw.choice([1.0, 1.0, 0.5, 2.0]) for place in range(length)]
        found.append(Encoded(f"e{number}", ids, tuple(weights), 1))
    return found


def plain_loss(model: Any, data: list[Encoded], smoothing: float = 0.0) -> torch.Tensor:
    """The weighted sum by plain transformers, one example at a time, from its logits in float64."""
    device = next(model.parameters()).device
    total = torch.zeros((), dtype=torch.float64, device=device)
    for example in data:
        ids = torch.tensor([example.ids], device=device)
        logits = model(input_ids=ids).logits[0, :-1].double()
        losses = nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none", label_smoothing=smoothing)
        total = total + torch.dot(losses, torch.tensor(example.weights[1:], dtype=torch.float64, device=device))
    return total


def fast_loss(model: Any, dtype: torch.dtype, data: list[Encoded], smoothing: float = 0.0) -> torch.Tensor:
    """The same by the fast path, with the gradients computed."""
    (batch,) = without_padding([Collator(0)(data)], budget=10_000)
    (part,) = batch["parts"]
    device = next(model.parameters()).device
    part = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in part.items()}
    with FastPath(model, dtype).lent():
        loss: torch.Tensor = model(**part, smoothing=smoothing).loss
        loss.backward()
    return loss.detach()


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """By name, as float64."""
    return {name: one.grad.double() for name, one in model.named_parameters() if one.grad is not None}


def errors(found: dict[str, torch.Tensor], reference: dict[str, torch.Tensor]) -> dict[str, float]:
    """Relative L2 error of every gradient tensor."""
    assert found.keys() == reference.keys()
    assert found
    return {name: float((found[name] - one).norm() / one.norm()) for name, one in reference.items()}


def whole_error(found: dict[str, torch.Tensor], reference: dict[str, torch.Tensor]) -> float:
    """Relative L2 error of all of them as one vector."""
    wrong = sum(float((found[name] - one).norm() ** 2) for name, one in reference.items())
    return float((wrong / sum(float(one.norm() ** 2) for one in reference.values())) ** 0.5)
