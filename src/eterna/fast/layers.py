"""What a decoder layer of a known architecture computes, on rows of tokens instead of padded batches.

Legend: T tokens, N of them chosen, H width. The residual stream is float32; between its norms everything is in the
compute type.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eterna.fast.attention import attend
from eterna.fast.linear import project
from eterna.fast.rows import Mask, add_norm, gated, select
from eterna.fast.segments import Segments


def llama_layer(
    layer: Any, h: Tensor, delta: Tensor | None, rotary: tuple[Tensor, Tensor], segments: Segments,
    dtype: torch.dtype, activation: str, keep: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Llama, Mistral, Qwen2 and Gemma: two RMS norms, rotary attention with grouped keys, a gated unit.

    h: (T, H), and delta, what the layer before would add to it. keep: (N,), the only tokens that anybody looks at
    afterwards, or None. Returns both for the next layer, (T, H) or (N, H).
    """
    attention, unit = layer.self_attn, layer.mlp
    h, x = add_norm(h, delta, *norm_of(layer.input_layernorm), dtype)
    q, k, v = project(x, [attention.q_proj, attention.k_proj, attention.v_proj])
    window = getattr(attention.config, "sliding_window", None) if slides(attention) else None
    share = attention.attention_dropout if attention.training else 0.0
    mixed = attend(q, k, v, rotary, segments, attention.scaling, attention.head_dim, window, share)
    if keep is not None:
        h, mixed = select(h, keep), select(mixed, keep)
    (out,) = project(mixed, [attention.o_proj])
    h, x = add_norm(h, out, *norm_of(layer.post_attention_layernorm), dtype)
    gate, up = project(x, [unit.gate_proj, unit.up_proj])
    (out,) = project(gated(gate, up, activation), [unit.down_proj])
    return h, out


def slides(attention: Any) -> bool:
    """Whether this layer looks back through a window: all of them do, or those that the config lists."""
    kinds = getattr(attention.config, "layer_types", None)
    return kinds is None or kinds[attention.layer_idx] == "sliding_attention"


def norm_of(norm: nn.Module) -> tuple[Tensor, float, float]:
    """Weight, epsilon, and what is added to the weight, of an RMS norm."""
    gemma = type(norm).__name__.startswith("Gemma")
    return norm.weight, norm.eps if gemma else norm.variance_epsilon, 1.0 if gemma else 0.0


def gpt2_layer(layer: Any, h: Tensor, segments: Segments, dtype: torch.dtype) -> Tensor:
    """GPT-2: two layer norms, attention without rotation, GELU; dropout at both ends. (T, H)."""
    attention, unit = layer.attn, layer.mlp
    q, k, v = project(_layer_norm(layer.ln_1, h, dtype), [attention.c_attn])[0].chunk(3, dim=-1)
    share = attention.attn_dropout.p if attention.training else 0.0
    size = attention.head_dim
    mixed = attend(q, k, v, None, segments, size**-0.5, size, None, share)
    h = h + _dropped(project(mixed, [attention.c_proj])[0], attention.resid_dropout)
    (inner,) = project(_layer_norm(layer.ln_2, h, dtype), [unit.c_fc])
    (out,) = project(functional.gelu(inner, approximate="tanh"), [unit.c_proj])
    return h + _dropped(out, unit.dropout)


def _layer_norm(norm: nn.LayerNorm, h: Tensor, dtype: torch.dtype) -> Tensor:
    bias = None if norm.bias is None else norm.bias.float()
    return functional.layer_norm(h, norm.normalized_shape, norm.weight.float(), bias, norm.eps).to(dtype)


def _dropped(x: Tensor, drop: nn.Dropout) -> Tensor:
    return _Dropout.apply(x, drop.p) if drop.training and drop.p else x


class _Dropout(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(context: Any, x: Tensor, share: float) -> Tensor:
        context.mask = Mask(x, share)
        return context.mask.apply(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        return context.mask.apply(gradient.contiguous()), None
