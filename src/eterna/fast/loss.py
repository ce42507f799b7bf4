"""The loss where labels are, and only there: logits, loss and gradient in chunks of rows.

Legend: N labelled tokens, H width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eterna.fast.linear import Linear, linear_of, project
from eterna.fast.rows import kernels_for, run

CHUNK_BYTES = 16 * 2**20
"""Of logits that exist at one time, on a CPU."""
GPU_CHUNK_BYTES = 16 * CHUNK_BYTES


def labelled_loss(hidden: Tensor, head: nn.Module, targets: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Sum of weight times cross-entropy, float32; zero with a gradient of zero without labels.

    hidden: (N, H), one row for each target. targets: (N,) int64. weights: (N,) float32. smoothing: as in
    torch's cross_entropy.
    """
    if hidden.shape[0] == 0:
        return hidden.float().sum() * 0.0
    linear = linear_of(head)
    if linear is None or linear.a is not None or linear.bias is not None or linear.transposed:
        return _weighted(project(hidden, [head])[0], targets, weights, smoothing)
    return _ChunkedLoss.apply(hidden, linear.weight, linear, targets, weights, smoothing)


def each_loss(hidden: Tensor, head: nn.Module, targets: Tensor) -> Tensor:
    """Cross-entropy at each position, (N,) float32, for evaluation. Shapes as in `labelled_loss`."""
    linear = linear_of(head)
    width = head.weight.shape[0] if linear is None else linear.weight.shape[1 if linear.transposed else 0]
    found = [hidden.new_empty(0, dtype=torch.float32)]
    for piece in _pieces(hidden, width):
        logits = project(hidden[piece], [head])[0]
        found.append(_loss_and_gradient(logits, targets[piece], torch.ones(len(logits), device=logits.device), 0.0)[0])
    return torch.cat(found)


def _pieces(hidden: Tensor, vocabulary: int) -> Iterator[slice]:
    """Rows in chunks whose logits take CHUNK_BYTES."""
    room = CHUNK_BYTES if hidden.device.type == "cpu" else GPU_CHUNK_BYTES
    rows = max(16, room // (vocabulary * hidden.element_size()) // 16 * 16)
    return (slice(begin, begin + rows) for begin in range(0, hidden.shape[0], rows))


def _weighted(logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    losses = functional.cross_entropy(logits.float(), targets, reduction="none", label_smoothing=smoothing)
    return torch.dot(losses, weights)


class _ChunkedLoss(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        context: Any, hidden: Tensor, weight: Tensor, linear: Linear, targets: Tensor, weights: Tensor, smoothing: float
    ) -> Tensor:
        matrix = linear.matrix(hidden.dtype)  # (V, H)
        dhidden = torch.empty_like(hidden)
        dweight = torch.zeros_like(weight, dtype=torch.float32) if weight.requires_grad else None
        total = hidden.new_zeros((), dtype=torch.float64)
        for piece in _pieces(hidden, matrix.shape[0]):
            logits = hidden[piece] @ matrix.t()
            losses, gradient = _loss_and_gradient(logits, targets[piece], weights[piece], smoothing)
            total += losses.sum(dtype=torch.float64)
            torch.mm(gradient, matrix, out=dhidden[piece])
            if dweight is not None:
                dweight += gradient.t() @ hidden[piece]
        context.save_for_backward(dhidden, dweight)
        context.weight_dtype = weight.dtype
        return total.float()

    @staticmethod
    def backward(context: Any, given: Tensor) -> Any:
        dhidden, dweight = context.saved_tensors
        dweight = None if dweight is None else dweight.mul_(given).to(context.weight_dtype)
        return dhidden.mul_(given), dweight, None, None, None, None


def _loss_and_gradient(logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Losses (N,) float32 and gradient (N, V); the logits are overwritten."""
    kernels = kernels_for(logits)
    if kernels is not None:
        losses = torch.empty(logits.shape[0])
        run(kernels.cross_entropy, logits, targets, weights, smoothing, *logits.shape, losses)
        return losses, logits
    values = logits.float()
    losses = functional.cross_entropy(values, targets, reduction="none", label_smoothing=smoothing) * weights
    gradient = values.softmax(-1).sub_(smoothing / values.shape[1])
    gradient.scatter_add_(1, targets[:, None], torch.full_like(weights, smoothing - 1.0)[:, None])
    return losses, gradient.mul_(weights[:, None]).to(logits.dtype)
