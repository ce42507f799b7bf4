"""What one training step holds in memory, found by taking it on tensors without storage.

torch's FakeTensorMode runs the model's own forward and backward pass with shapes alone; a ledger follows every
storage from the operation that makes it to its last use. So gated layers, grouped heads, norms in float32, adapters
with their dropout and weights that need no gradient count for exactly what autograd keeps of them. Not seen: what a
kernel allocates inside itself, and the allocator's own waste.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class StepBytes:
    """Bytes of one micro-batch beside the weights and the optimizer's state."""

    kept: int
    """What the forward pass keeps for the backward pass, without the logits."""
    logits: int
    """The most that logits, their copies, the log-softmax and the gradients of these take on top of it."""
    gradients: int
    """Of the trained weights."""
    peak: int
    """The most that lives at a time, everything above included."""


def trace_step(
    model: Any, rows: int, length: int, loss: Loss, padded: bool, amp: torch.dtype | None, accumulated: bool
) -> StepBytes:
    """Forward and backward pass of `rows` rows of `length` tokens; `model` has no values before or after.

    loss: from float32 logits (rows, length, vocabulary) to a scalar, by no shape that depends on values. padded: the
    rows differ in length. amp: type of autocast. accumulated: gradients of an earlier micro-batch are there already.
    Raises what torch raises for a model whose shapes depend on values, such as a mixture of experts.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.enable_grad():
        give_shapes(model)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradients = sum(nbytes(parameter) for parameter in trained)
        for parameter in trained if accumulated else ():
            parameter.grad = torch.empty_like(parameter)
        ids = torch.zeros((rows, length), dtype=torch.long)  # (rows, length)
        mask = torch.ones_like(ids) if padded else None
        with Ledger() as ledger:
            with torch.autocast("cpu", amp, enabled=amp is not None):
                logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            kept = ledger.live - nbytes(logits)
            copied = logits.float()
            del logits
            value = loss(copied)
            del copied
            ledger.watch(kept)
            value.backward()
    return StepBytes(kept, ledger.most_above, gradients, ledger.peak + accumulated * gradients)


def nbytes(tensor: Tensor) -> int:
    """Bytes of the storage behind a tensor."""
    return tensor.untyped_storage().nbytes()


def give_shapes(model: Any) -> None:
    """Put tensors of the current FakeTensorMode, on a CPU, where a model on `meta` has parameters and buffers."""
    made: dict[int, Tensor] = {}

    def shape_of(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            values = torch.empty_like(tensor, device="cpu")
            made[id(tensor)] = nn.Parameter(values, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else values
        return made[id(tensor)]

    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in table.items():
                table[name] = None if tensor is None else shape_of(tensor)


class Ledger(TorchDispatchMode):  # type: ignore[misc]
    """Counts the bytes of every storage made while it is active, for as long as the storage lives."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = self.most_above = 0
        self._level = 0
        self._held: dict[int, weakref.ref[Any]] = {}

    def watch(self, level: int) -> None:
        """From now on `most_above` is the most that lives above `level`, the last peak included."""
        self._level, self.most_above = level, self.peak - level

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._enter(leaf.untyped_storage())
        return result

    def _enter(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._held:
            return

        def leave(_: Any) -> None:
            self.live -= size
            del self._held[key]

        self._held[key] = weakref.ref(storage, leave)
        self.live += size
        self.peak = max(self.peak, self.live)
