"""Causal attention within each of several sequences in one row, by matrix products without padding between them.

Legend: T tokens, N heads of the queries, K of the keys and values (N a multiple of K), D size of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from eterna.fast.rows import Mask, kernels_for, run
from eterna.fast.segments import Segments

KEEP_BYTES = 4 * 2**20
"""Probabilities of one sequence up to this size are kept for the way back, larger ones computed again."""
PRODUCT_BYTES = 64 * 2**20
"""Above this size they are never written out: torch's attention takes the sequence."""


def attend(
    q: Tensor, k: Tensor, v: Tensor, rotary: tuple[Tensor, Tensor] | None, segments: Segments, scale: float,
    size: int, window: int | None = None, dropout: float = 0.0,
) -> Tensor:  # fmt: skip
    """(T, N * D): each token attends to the last `window` tokens of its own sequence up to itself.

    q: (T, N * D), k and v: (T, K * D), one type. rotary: cosine and sine (T, D) float32 that turn q and k (Su et al.,
    arXiv:2104.09864), or None. size: D. scale: of the scores. dropout: share of the probabilities.
    """
    longest = max(segments.lengths)
    heads = q.shape[1] // size
    reach = longest if window is None else min(window, longest)
    fits = heads * longest * longest * q.element_size() <= PRODUCT_BYTES
    if kernels_for(q) is not None and fits:
        cos, sin = rotary if rotary else (None, None)
        assert cos is None or cos.shape == (q.shape[0], size)
        return _Attend.apply(q, k, v, cos, sin, segments, scale, size, reach, dropout)
    return _by_torch(q, k, v, rotary, segments, scale, size, reach, dropout)


def _by_torch(
    q: Tensor, k: Tensor, v: Tensor, rotary: tuple[Tensor, Tensor] | None, segments: Segments, scale: float,
    size: int, reach: int, dropout: float,
) -> Tensor:  # fmt: skip
    """The same by torch's scaled_dot_product_attention, a sequence at a time."""
    split = [tensor.view(tensor.shape[0], -1, size) for tensor in (q, k, v)]  # (T, heads, D)
    if rotary:
        split[:2] = [_rotate(tensor, *rotary) for tensor in split[:2]]
    parts = []
    begin = 0
    for length in segments.lengths:
        one = [tensor[begin : begin + length].transpose(0, 1)[None] for tensor in split]  # (1, heads, L, D)
        mask = None
        if reach < length:
            mask = torch.ones(length, length, dtype=torch.bool, device=q.device).tril().triu(1 - reach)
        query, key, value = one
        out = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, scale=scale, enable_gqa=True
        )
        parts.append(out[0].transpose(0, 1).reshape(length, -1))
        begin += length
    return torch.cat([*parts, q.new_zeros(q.shape[0] - begin, q.shape[1])])


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x.float() * cos[:, None] + turned * sin[:, None]).to(x.dtype)


class _Attend(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        context: Any, q: Tensor, k: Tensor, v: Tensor, cos: Tensor | None, sin: Tensor | None, segments: Segments,
        scale: float, size: int, reach: int, dropout: float,
    ) -> Tensor:  # fmt: skip
        heads, groups = q.shape[1] // size, k.shape[1] // size
        packed = [_pack(q, segments, heads, size, cos, sin), _pack(k, segments, groups, size, cos, sin)]
        packed.append(_pack(v, segments, groups, size))
        made = torch.empty_like(packed[0])
        kept: list[Tensor | None] = []
        masks: list[Mask | None] = []
        for place, length in enumerate(segments.lengths):
            qs, ks, vs = _blocks(packed, segments, place, groups, size)
            p = _probabilities(qs, ks, length, scale, reach)
            mask = Mask(p.view(-1, p.shape[-1]), dropout) if dropout else None
            dropped = p if mask is None else mask.apply(p.view(-1, p.shape[-1])).view_as(p)
            torch.bmm(dropped, vs, out=_block(made, segments, place, groups, size))
            kept.append(p if p.numel() * p.element_size() <= KEEP_BYTES else None)
            masks.append(mask)
        context.save_for_backward(*packed, cos, sin, *kept)
        context.settings = (segments, scale, size, reach, heads, groups, masks)
        return _unpack(made, segments, heads, size, q.shape[0])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        first, second, third, cos, sin, *saved = context.saved_tensors  # once: checkpointing allows no more
        packed = [first, second, third]
        segments, scale, size, reach, heads, groups, masks = context.settings
        given = _pack(gradient, segments, heads, size)
        made = [torch.empty_like(one) for one in packed]
        for place, length in enumerate(segments.lengths):
            qs, ks, vs = _blocks(packed, segments, place, groups, size)
            dq, dk, dv = _blocks(made, segments, place, groups, size)
            dout = _block(given, segments, place, groups, size)
            kept, mask = saved[place], masks[place]
            p = _probabilities(qs, ks, length, scale, reach) if kept is None else kept
            dropped = p if mask is None else mask.apply(p.view(-1, p.shape[-1])).view_as(p)
            torch.bmm(dropped.transpose(1, 2), dout, out=dv)
            ds = torch.bmm(dout, vs.transpose(1, 2))
            if mask is not None:
                ds = mask.apply(ds.view(-1, ds.shape[-1])).view_as(ds)
            rows, room = ds.shape[0] * ds.shape[1], ds.shape[2]
            run(kernels_for(ds).softmax_backward, ds, p, rows, room, length, scale, reach)
            torch.bmm(ds, ks, out=dq)
            torch.bmm(ds.transpose(1, 2), qs, out=dk)
        rows = gradient.shape[0]
        dq = _unpack(made[0], segments, heads, size, rows, cos, sin)
        dk = _unpack(made[1], segments, groups, size, rows, cos, sin)
        return dq, dk, _unpack(made[2], segments, groups, size, rows), *[None] * 7


def _probabilities(q: Tensor, k: Tensor, length: int, scale: float, reach: int) -> Tensor:
    p = torch.bmm(q, k.transpose(1, 2))  # (K, N / K * room, room)
    rows, room = p.shape[0] * p.shape[1], p.shape[2]
    run(kernels_for(p).softmax, p, rows, room, length, scale, reach)
    return p


def _blocks(packed: list[Tensor], segments: Segments, place: int, groups: int, size: int) -> list[Tensor]:
    return [_block(one, segments, place, groups, size) for one in packed]


def _block(packed: Tensor, segments: Segments, place: int, groups: int, size: int) -> Tensor:
    """One sequence of a packed tensor: (K, heads / K * room, D)."""
    begin, end = segments.bounds[place], segments.bounds[place + 1]
    return packed[begin:end].view(groups, -1, size)


def _pack(
    x: Tensor, segments: Segments, heads: int, size: int, cos: Tensor | None = None, sin: Tensor | None = None
) -> Tensor:
    """(padded tokens, heads * D): for each sequence in turn a block of (heads, room, D)."""
    out = x.new_empty(segments.bounds[-1], heads * size)
    count, places = len(segments.lengths), (segments.starts, segments.padded)
    run(kernels_for(x).pack, x.contiguous(), cos, sin, *places, count, heads, size, out)
    return out


def _unpack(
    packed: Tensor, segments: Segments, heads: int, size: int, rows: int, cos: Tensor | None = None,
    sin: Tensor | None = None,
) -> Tensor:  # fmt: skip
    out = packed.new_empty(rows, heads * size)
    out[sum(segments.lengths) :] = 0
    count, places = len(segments.lengths), (segments.starts, segments.padded)
    run(kernels_for(packed).unpack, packed, cos, sin, *places, count, heads, size, out)
    return out
