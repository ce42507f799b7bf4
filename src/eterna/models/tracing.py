"""What one training step holds in memory, found by taking it on tensors without storage.

torch's FakeTensorMode runs the model's own forward and backward pass with shapes alone; a ledger follows every
storage from the operation that makes it to its last use. So gated layers, grouped heads, norms in float32, adapters
with their dropout and weights that need no gradient count for exactly what autograd keeps of them. Deep models are
traced at two depths, and the rest follows, as every layer keeps the same.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from eterna.models.memory import HEAP_BLOCK, StepBytes

Loss = Callable[[Tensor], Tensor]
DEPTHS = (4, 2)  # even where layers take turns (sliding and full attention), and deep enough for a peak halfway


def trace_step(
    model: Any, rows: int, length: int, loss: Loss | None, padded: bool = False, amp: torch.dtype | None = None
) -> StepBytes:
    """Forward and backward pass of `rows` rows of `length` tokens; `model` has no values before, and is spent after.

    loss: from float32 logits (rows, length, vocabulary) to a scalar, by no shape that depends on values; None stops
    after the forward pass, for what that keeps. padded: the rows differ in length. amp: type of autocast. Raises what
    torch raises for a model whose shapes depend on values, such as a mixture of experts.
    """
    return trace(model, lambda ledger: _padded_step(model, ledger, rows, length, loss, padded, amp))


def trace(model: Any, take: Callable[[Ledger], StepBytes]) -> StepBytes:
    """What `take` counts on a ledger while it takes one step of `model`, which is as `trace_step` says."""
    gradients = _gradients(model)
    with FakeTensorMode(), torch.enable_grad():
        give_shapes(model)
        lists = _layer_lists(model)
        many, few = DEPTHS
        depth = len(lists[0][2]) if lists else 0
        if depth <= many:
            return _trace(model, take)
        try:
            _cut(lists, many)
            one, deep = _gradients(model), _trace(model, take)
            _cut(lists, few)
            shallow = _trace(model, take)
        finally:
            _cut(lists, depth)
    layers = (depth - many) / (many - few)
    return StepBytes(
        deep.kept + layers * (deep.kept - shallow.kept),
        deep.logits,
        deep.block,
        gradients + deep.end - one,
        deep.small + layers * (deep.small - shallow.small),
        deep.scratch + layers * (deep.scratch - shallow.scratch),
    )


def _trace(model: Any, take: Callable[[Ledger], StepBytes]) -> StepBytes:
    for parameter in model.parameters():
        parameter.grad = None
    with Ledger(model) as ledger:
        return take(ledger)


def _padded_step(
    model: Any, ledger: Ledger, rows: int, length: int, loss: Loss | None, padded: bool, amp: torch.dtype | None
) -> StepBytes:
    ids = torch.zeros((rows, length), dtype=torch.long)  # (rows, length)
    mask = torch.ones_like(ids) if padded else None
    with torch.autocast("cpu", amp, enabled=amp is not None):
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    block = nbytes(logits)
    kept, small = ledger.live - block, ledger.small - (block if block <= HEAP_BLOCK else 0)
    if loss is None:
        return StepBytes(kept, 0.0, block, 0.0, small)
    copied = logits.float()
    del logits
    value = loss(copied)
    del copied
    value.backward()
    return StepBytes(kept, ledger.peak - kept, block, ledger.live, small, ledger.scratch)


def nbytes(tensor: Tensor) -> int:
    """Bytes of the storage behind a tensor."""
    size: int = tensor.untyped_storage().nbytes()
    return size


def _gradients(model: Any) -> int:
    return sum(weight.numel() * weight.element_size() for weight in model.parameters() if weight.requires_grad)


def _layer_lists(model: Any) -> list[tuple[Any, str, nn.ModuleList]]:
    """(owner, name, layers) of each list that holds a module for every layer; none where they stand by themselves."""
    depth = model.config.get_text_config().num_hidden_layers
    return [
        (owner, name, part)
        for owner in model.modules()
        for name, part in owner.named_children()
        if isinstance(part, nn.ModuleList) and len(part) == depth
    ]


def _cut(lists: list[tuple[Any, str, nn.ModuleList]], left: int) -> None:
    for owner, name, part in lists:
        setattr(owner, name, part[:left])


def give_shapes(model: Any) -> None:
    """Put tensors of the current FakeTensorMode, on a CPU, where a model on `meta` has parameters and buffers."""
    made: dict[int, Tensor] = {}

    def shape_of(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            values = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
            made[id(tensor)] = (
                nn.Parameter(values, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else values
            )
        return made[id(tensor)]

    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in table.items():
                table[name] = None if tensor is None else shape_of(tensor)


class Ledger(TorchDispatchMode):  # type: ignore[misc]
    """Counts the bytes of every storage made while it is active, for as long as the storage lives.

    The weights and buffers of `model` are not counted.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.live = self.small = self.peak = self.scratch = 0
        self._held: dict[int, Any] = {}
        for tensor in (*model.parameters(), *model.buffers()):
            self._held[tensor.untyped_storage()._cdata] = tensor

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._enter(leaf.untyped_storage())
        if func is torch.ops.aten.bernoulli_.float:
            self.scratch += 4 * result.numel()  # its kernel draws int32 numbers first
        return result

    def _enter(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._held:
            return
        small = size if size <= HEAP_BLOCK else 0

        def leave(_: Any) -> None:
            self.live -= size
            self.small -= small
            del self._held[key]

        self._held[key] = weakref.ref(storage, leave)
        self.live += size
        self.small += small
        self.peak = max(self.peak, self.live)
