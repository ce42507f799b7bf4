"""How much memory a training step takes, estimated before anything is loaded.

Activations by Korthikanti et al. 2022 (arXiv:2205.05198), sections 4 and 5, for one device. The formula is made for a
plain transformer in 16 bits with everything trained; for gated layers, grouped heads or frozen weights it is a guide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Activations:
    """Bytes kept from the forward pass for the backward pass."""

    kept: float
    """When every activation is kept."""
    recomputed: float
    """With activation checkpointing: each layer's input, and the inside of one layer at a time."""


def estimate_activations(shape: Any, rows: int, length: int, element: int = 2, attention: str = "sdpa") -> Activations:
    """Activations of a forward pass over `rows` rows of `length` tokens.

    shape: the model's configuration. element: bytes of one activation, 2 or 4. attention: `eager` keeps the scores,
    (rows, heads, length, length); other implementations never write them out.
    """
    shape = shape.get_text_config()
    layers, hidden, heads = shape.num_hidden_layers, shape.hidden_size, shape.num_attention_heads
    one = rows * length * hidden  # the paper's s b h
    scores = 5 * heads * length / hidden if attention == "eager" else 0
    layer = one * (34 + scores) * element / 2
    logits = 4 * rows * length * shape.vocab_size  # always float32
    return Activations(layers * layer + logits, layers * one * element + layer + logits)
