"""Linear layers that share one input, with their LoRA branches, as one step of the graph.

y_i = x W_i^T + b_i + s_i * dropout_i(x) A_i^T B_i^T (Hu et al., arXiv:2106.09685). Legend: T tokens, I inputs,
O outputs, R rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eterna.fast.rows import Mask


@dataclass(frozen=True)
class Linear:
    """What one layer computes with, read from its module anew in every step."""

    weight: Tensor
    """(O, I), or (I, O) where `transposed`."""
    bias: Tensor | None
    transposed: bool = False
    a: Tensor | None = None
    """(R, I)"""
    b: Tensor | None = None
    """(O, R)"""
    scale: float = 0.0
    dropout: float = 0.0

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """(O, I) in `dtype`."""
        weight = self.weight.detach().to(dtype)
        return weight.t() if self.transposed else weight


def linear_of(module: nn.Module) -> Linear | None:
    """What a linear layer computes with; None where it does something that is not known here."""
    from transformers.pytorch_utils import Conv1D

    if type(module) in (nn.Linear, Conv1D):
        return Linear(module.weight, module.bias, isinstance(module, Conv1D))
    return _adapted(module)


def _adapted(module: Any) -> Linear | None:
    """PEFT's plain LoRA with one active adapter."""
    from peft.tuners.lora import Linear as LoraLinear

    if type(module) is not LoraLinear or getattr(module, "lora_variant", None) or module.merged:
        return None
    base = linear_of(module.base_layer)
    names = [name for name in module.active_adapters if name in module.lora_A]
    if base is None or any(module.use_dora.get(name) for name in names) or len(names) > 1:
        return None
    if module.disable_adapters or not names:
        return base
    a, b = module.lora_A[names[0]], module.lora_B[names[0]]
    drop = module.lora_dropout[names[0]]
    share = drop.p if isinstance(drop, nn.Dropout) and drop.training else 0.0
    if type(a) is not nn.Linear or type(b) is not nn.Linear or b.bias is not None:
        return None
    if not isinstance(drop, nn.Dropout | nn.Identity):
        return None
    return Linear(base.weight, base.bias, base.transposed, a.weight, b.weight, module.scaling[names[0]], share)


def project(x: Tensor, modules: list[nn.Module]) -> list[Tensor]:
    """What each layer makes of x. (T, I) to (T, O_i), in x's type.

    An unknown kind of layer is called as it is, under autocast where x is of half precision.
    """
    known = [(module, linear_of(module)) for module in modules]
    linears = [linear for _, linear in known if linear is not None]
    flat = [tensor for one in linears for tensor in (one.weight, one.bias, one.a, one.b)]
    made = iter(_Project.apply(x, linears, *flat) if linears else ())
    return [next(made) if linear is not None else _call(module, x) for module, linear in known]


def _call(module: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, x.dtype, enabled=x.dtype != torch.float32):
        made: Tensor = module(x).to(x.dtype)
    return made


class _Project(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(context: Any, x: Tensor, linears: list[Linear], *flat: Tensor | None) -> tuple[Tensor, ...]:
        masks = [Mask(x, one.dropout) if one.a is not None and one.dropout else None for one in linears]
        inner: list[Tensor | None] = []
        outputs: list[Tensor] = []
        for one, mask in zip(linears, masks, strict=True):
            matrix = one.matrix(x.dtype).t()
            y = x @ matrix if one.bias is None else torch.addmm(one.bias.detach().to(x.dtype), x, matrix)
            low = None
            if one.a is not None and one.b is not None:
                low = (x if mask is None else mask.apply(x)) @ one.a.detach().to(x.dtype).t()  # (T, R)
                y.addmm_(low, one.b.detach().to(x.dtype).t(), alpha=one.scale)
            inner.append(low)
            outputs.append(y)
        needs_x = any(one.weight.requires_grad or one.a is not None for one in linears)
        context.save_for_backward(x if needs_x else None, *inner)
        context.linears, context.masks, context.dtype = linears, masks, x.dtype
        return tuple(outputs)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        x, *inner = context.saved_tensors
        dx: Tensor | None = None
        flat: list[Tensor | None] = []
        for one, mask, low, given in zip(context.linears, context.masks, inner, gradients, strict=True):
            dy = given.contiguous()
            matrix = one.matrix(dy.dtype)
            if context.needs_input_grad[0]:
                dx = dy @ matrix if dx is None else dx.addmm_(dy, matrix)
            dweight = dbias = da = db = None
            if one.weight.requires_grad:
                dweight = (x.t() @ dy if one.transposed else dy.t() @ x).to(one.weight.dtype)
            if one.bias is not None and one.bias.requires_grad:
                dbias = dy.sum(0, dtype=torch.float32).to(one.bias.dtype)
            if low is not None:
                dlow = (dy @ one.b.detach().to(dy.dtype)).mul_(one.scale)  # (T, R)
                db = (dy.t() @ low).to(one.b.dtype).mul_(one.scale)
                da = (dlow.t() @ (x if mask is None else mask.apply(x))).to(one.a.dtype)
                if dx is not None:
                    back = one.a.detach().to(dy.dtype)
                    if mask is None:
                        dx.addmm_(dlow, back)
                    else:
                        mask.apply(dlow @ back, add_to=dx)
            flat += [dweight, dbias, da, db]
        return dx, None, *flat
