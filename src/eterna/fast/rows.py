"""Norms, gated activations and dropout on rows of activations, each with its gradient.

Legend: T tokens, N of them chosen, H width. Where the kernels are missing (no compiler, a GPU) torch's operations do
the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional

from eterna.fast.build import find_kernels
from eterna.fast.gpu import liger_gate

KINDS = {"silu": 0, "gelu_pytorch_tanh": 1, "gelu_new": 1, "gelu_fast": 1}


def kernels_for(x: Tensor, dtype: torch.dtype | None = None) -> Any:
    """The kernels for activations of x's type (or `dtype`) on x's device; None where there are none."""
    dtype = dtype or x.dtype
    if x.device.type != "cpu" or dtype not in (torch.float32, torch.bfloat16):
        return None
    return find_kernels(dtype == torch.bfloat16)


def run(kernel: Any, *values: Any) -> None:
    """Call a kernel; tensors, which must be contiguous, by the addresses of their first elements.

    All of them are held until it returns: a tensor that was made on the spot would be freed before. The first value is
    a tensor; one without storage, on which a step is traced to know its memory, is left alone.
    """
    if type(values[0]) is not FakeTensor:
        kernel(*[_address(value) if isinstance(value, Tensor) else value for value in values])


def _address(tensor: Tensor) -> int:
    assert tensor.is_contiguous()
    return int(tensor.data_ptr())


def add_norm(
    h: Tensor, delta: Tensor | None, weight: Tensor, eps: float, offset: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """`h + delta`, and its RMS norm times `weight + offset` (Zhang and Sennrich, arXiv:1910.07467).

    h: (T, H) float32, the residual stream. delta: (T, H) in `dtype`, or None. Returns (T, H) float32 and `dtype`.
    """
    if kernels_for(h, dtype) is None:
        total = h if delta is None else h + delta
        normed = functional.rms_norm(total, total.shape[-1:], weight.float() + offset, eps)
        return total, normed.to(dtype)
    if delta is not None:
        total, normed = _AddNorm.apply(h, delta, weight, eps, offset, dtype)
        return total, normed
    return h, _Norm.apply(h, weight, eps, offset, dtype)


def _forward_norm(
    h: Tensor, delta: Tensor | None, weight: Tensor, eps: float, offset: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    rows, width = h.shape
    total = h if delta is None else torch.empty_like(h)
    normed, rstd = torch.empty_like(h, dtype=dtype), h.new_empty(rows)
    kernel = kernels_for(h, dtype).add_norm
    to = None if delta is None else total
    run(kernel, h, delta, weight.detach().float(), offset, eps, rows, width, to, normed, rstd)
    return total, normed, rstd


def _backward_norm(context: Any, dy: Tensor, dtotal: Tensor | None, low: bool) -> tuple[Tensor, Tensor | None, Any]:
    total, weight, rstd = context.saved_tensors
    dy, (rows, width) = dy.contiguous(), total.shape
    dx, dlow = torch.empty_like(total), torch.empty_like(dy) if low else None
    kernels = kernels_for(dy)
    dtotal = None if dtotal is None else dtotal.contiguous()
    factors = weight.detach().float()
    run(kernels.norm_backward, dy, dtotal, total, factors, context.offset, rstd, rows, width, dx, dlow)
    dweight = None
    if context.trains_weight:
        dweight = torch.empty(width)
        run(kernels.norm_weight, dy, total, rstd, rows, width, dweight)
        dweight = dweight.to(weight.dtype)
    return dx, dlow, dweight


class _Norm(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(context: Any, h: Tensor, weight: Tensor, eps: float, offset: float, dtype: torch.dtype) -> Tensor:
        h = h.contiguous()
        _, normed, rstd = _forward_norm(h, None, weight, eps, offset, dtype)
        context.save_for_backward(h, weight, rstd)
        context.offset, context.trains_weight = offset, weight.requires_grad
        return normed

    @staticmethod
    def backward(context: Any, dy: Tensor) -> Any:
        dx, _, dweight = _backward_norm(context, dy, None, low=False)
        return dx, dweight, None, None, None


class _AddNorm(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        context: Any, h: Tensor, delta: Tensor, weight: Tensor, eps: float, offset: float, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        total, normed, rstd = _forward_norm(h.contiguous(), delta.contiguous(), weight, eps, offset, dtype)
        context.save_for_backward(total, weight, rstd)
        context.offset, context.trains_weight = offset, weight.requires_grad
        return total, normed

    @staticmethod
    def backward(context: Any, dtotal: Tensor, dy: Tensor) -> Any:
        low = dy.dtype != torch.float32
        dx, dlow, dweight = _backward_norm(context, dy, dtotal, low)
        return dx, dlow if low else dx, dweight, None, None, None


def gated(gate: Tensor, up: Tensor, activation: str) -> Tensor:
    """act(gate) * up (Shazeer, arXiv:2002.05202). (T, I) each; the activation is one of KINDS."""
    if (fused := liger_gate(gate, KINDS[activation])) is not None:
        made: Tensor = fused(gate, up)
        return made
    if kernels_for(gate) is None:
        value = functional.silu(gate) if KINDS[activation] == 0 else functional.gelu(gate, approximate="tanh")
        return value * up
    return _Gated.apply(gate, up, KINDS[activation])


class _Gated(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(context: Any, gate: Tensor, up: Tensor, kind: int) -> Tensor:
        context.save_for_backward(gate, up)
        context.kind = kind
        out = torch.empty_like(gate)
        run(kernels_for(gate).gated, gate, up, kind, *gate.shape, out)
        return out

    @staticmethod
    def backward(context: Any, dz: Tensor) -> Any:
        gate, up = context.saved_tensors
        dgate, dup = torch.empty_like(gate), torch.empty_like(up)
        run(kernels_for(gate).gated_backward, dz.contiguous(), gate, up, context.kind, *gate.shape, dgate, dup)
        return dgate, dup, None


def select(x: Tensor, rows: Tensor) -> Tensor:
    """The chosen rows of x. (T, H) and (N,), no row twice, to (N, H)."""
    return _Select.apply(x, rows)  # index_select adds its gradient up row by row, as if one could be there twice


class _Select(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(context: Any, x: Tensor, rows: Tensor) -> Tensor:
        context.save_for_backward(rows)
        context.count = x.shape[0]
        return x.index_select(0, rows)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        (rows,) = context.saved_tensors
        return gradient.new_zeros(context.count, gradient.shape[1]).index_copy_(0, rows, gradient), None


class Mask:
    """Which elements of a (T, H) tensor are kept by dropout: by a seed where there are kernels, else as a tensor."""

    def __init__(self, x: Tensor, share: float) -> None:
        """Drawn from torch's random state. share: of the elements that become zero."""
        self.threshold = max(1, round((1.0 - share) * 2**16))  # of 16 random bits
        self.scale = 2**16 / self.threshold
        self.seed = self.kept = None
        if kernels_for(x) is None:
            self.kept = torch.rand_like(x, dtype=torch.float32) * self.scale < 1.0
        else:
            self.seed = torch.randint(-(2**63), 2**63 - 1, ())  # all that is random: checkpoints keep torch's state

    def apply(self, x: Tensor, add_to: Tensor | None = None) -> Tensor:
        """x with its dropped elements zero and the others scaled; added to `add_to`, in place, where that is given."""
        if self.kept is not None:
            dropped = x * self.kept * self.scale
            return dropped if add_to is None else add_to.add_(dropped)
        to = torch.empty_like(x) if add_to is None else add_to
        run(kernels_for(x).dropout, x, *x.shape, self.seed, self.threshold, self.scale, add_to is not None, to)
        return to
