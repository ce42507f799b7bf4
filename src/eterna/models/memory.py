"""How much memory a training takes at its peak, estimated before anything is loaded; every term has a name.

The activations come from `tracing`, which takes one step on tensors without storage. Where a model cannot be traced
they come from Korthikanti et al. 2022 (arXiv:2205.05198), sections 4 and 5: a plain transformer, everything trained.

On a CPU the peak is that of the process, and it is higher than the sum of all tensors, because glibc's heap wastes
room: torch asks for aligned blocks (posix_memalign), and such a request does not fit the hole that a block of the same
size has left. On the five shapes of benchmarks/memory.py (1 to 135 million parameters, LoRA and full), on which these
constants were set, about 0.4 of what is kept is lost again, the blocks of the loss are lost once more where they come
from the heap, and each block of random numbers for dropout leaves a hole. Blocks past 32 MiB are mapped and waste
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HEAP_BLOCK = 32 * 2**20
"""Larger blocks never come from glibc's heap (DEFAULT_MMAP_THRESHOLD_MAX, mallopt(3))."""
WASTE = 0.4
"""Room that glibc's heap loses on each byte that the forward pass keeps."""
LATER = 20 * 2**20
"""What a training imports and warms up between its plan and its first steps: trackers, and the code that oneDNN
compiles for its products. Texts of many lengths make it compile more: that is not counted."""


@dataclass(frozen=True)
class StepBytes:
    """Bytes of one micro-batch beside the weights and the optimizer's state."""

    kept: float
    """What the forward pass keeps for the backward pass, without the logits."""
    logits: float
    """The most that logits, their copies, the log-softmax and the gradients of these take on top of it."""
    block: float
    """The logits alone, the largest single block of memory."""
    end: float
    """What lives when the backward pass ends, the gradients of the weights included."""
    small: float
    """The part of `kept` in blocks of at most HEAP_BLOCK bytes."""
    scratch: float = 0.0
    """What dropout's random numbers pass through on a CPU."""

    @property
    def peak(self) -> float:
        """The most that lives at a time: at the logits, or with the last gradients."""
        return max(self.kept + self.logits, self.end)


@dataclass(frozen=True)
class Memory:
    """Bytes on one device, by what they are for. Full fine-tuning holds the base once more in the final scores."""

    program: float
    """Python and its libraries; 0 on a GPU."""
    weights: float
    optimizer: float
    gradients: float
    activations: float
    logits: float
    """Logits, their copies and their gradients, at the loss."""
    waste: float
    """Of the allocator; 0 on a GPU."""
    end: float
    """What lives when the last layer's gradient is there, gradients of the weights included."""
    carried: bool = False
    """Gradients of earlier micro-batches are there in the forward pass."""
    scored: float = 0.0
    """The base model beside the tuned one and the logits of an evaluation, after training."""

    @property
    def peak(self) -> float:
        """The most at a time: at the loss, with the last gradients, or in the final scores."""
        held = self.program + self.weights + self.optimizer
        loss = self.activations + self.logits + (self.gradients if self.carried else 0.0)
        return held + self.waste + max(loss, self.end, self.scored)

    @property
    def needed(self) -> float:
        """What no setting of the batch saves: weights, gradients and optimizer."""
        return self.weights + self.gradients + self.optimizer


def allocator_waste(step: StepBytes) -> float:
    """Room that glibc's heap loses in a process that takes such steps."""
    return WASTE * step.small + (step.logits if step.block <= HEAP_BLOCK else 0.0) + step.scratch


def estimate_activations(
    shape: Any, rows: int, length: int, element: int = 2, attention: str = "sdpa", checkpointing: bool = False
) -> StepBytes:
    """The paper's formula for a forward pass over `rows` rows of `length` tokens.

    shape: the model's configuration. element: bytes of one activation, 2 or 4. attention: `eager` keeps the scores,
    (rows, heads, length, length); other implementations never write them out. checkpointing: only each layer's input
    is kept, and the inside of one layer at a time.
    """
    shape = shape.get_text_config()
    layers, hidden, heads = shape.num_hidden_layers, shape.hidden_size, shape.num_attention_heads
    one = rows * length * hidden  # the paper's s b h
    scores = 5 * heads * length / hidden if attention == "eager" else 0
    layer = one * (34 + scores) * element / 2
    block = 4.0 * rows * length * shape.vocab_size  # always float32
    kept = layers * one * element + layer if checkpointing else layers * layer
    return StepBytes(kept, 3 * block, block, 0.0, kept if layer <= HEAP_BLOCK else 0.0, 0.0)
