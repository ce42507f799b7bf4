"""Causal attention within each of several sequences in one row, by matrix products without padding between them.

Legend: T tokens, N heads of the queries, K of the keys and values (N a multiple of K), D size of a head.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from eterna.fast.gpu import takes_varlen, varlen
from eterna.fast.rows import Mask, kernels_for, run
from eterna.fast.segments import ROUND, Segments, blocks_of, rounded

KEEP_BYTES = 2 * 2**20
"""Probabilities of one block of queries up to this size are kept for the way back, larger ones computed again."""


def attend(
    q: Tensor, k: Tensor, v: Tensor, rotary: tuple[Tensor, Tensor] | None, segments: Segments, scale: float,
    size: int, window: int | None = None, dropout: float = 0.0,
) -> Tensor:  # fmt: skip
    """(T, N * D): each token attends to the last `window` tokens of its own sequence up to itself.

    q: (T, N * D), k and v: (T, K * D), one type. rotary: cosine and sine (T, D) float32 that turn q and k (Su et al.,
    arXiv:2104.09864), or None. size: D. scale: of the scores. dropout: share of the probabilities.
    """
    longest = max(segments.lengths)
    reach = longest if window is None else min(window, longest)
    if kernels_for(q) is not None:
        cos, sin = rotary if rotary else (None, None)
        assert cos is None or cos.shape == (q.shape[0], size)
        return _Attend.apply(q, k, v, cos, sin, segments, scale, size, reach, dropout)
    return _by_torch(q, k, v, rotary, segments, scale, size, reach, dropout)


def _by_torch(
    q: Tensor, k: Tensor, v: Tensor, rotary: tuple[Tensor, Tensor] | None, segments: Segments, scale: float,
    size: int, reach: int, dropout: float,
) -> Tensor:  # fmt: skip
    """The same by torch: its varlen_attn on a GPU, else scaled_dot_product_attention, a sequence at a time."""
    split = [tensor.view(tensor.shape[0], -1, size) for tensor in (q, k, v)]  # (T, heads, D)
    if rotary:
        split[:2] = [_rotate(tensor, *rotary) for tensor in split[:2]]
    if takes_varlen(q, dropout):
        query, key, value = split
        return varlen(query, key, value, segments, scale, reach)
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
        blocks = _blocks(segments.lengths, q.shape[1] // size, k.shape[1] // size, size, reach)
        q, k = _pack(q, segments.queries, size, cos, sin), _pack(k, segments, size, cos, sin)
        v = _pack(v, segments, size)
        made = torch.empty_like(q)
        kept: list[Tensor | None] = []
        masks: list[Mask | None] = []
        for block in blocks:
            p = block.probabilities(q, k, scale)
            mask = Mask(p.view(-1, p.shape[-1]), dropout) if dropout else None
            torch.bmm(_dropped(p, mask), v.as_strided(*block.keys), out=made.as_strided(*block.queries))
            kept.append(p if p.numel() * p.element_size() <= KEEP_BYTES else None)
            masks.append(mask)
        context.save_for_backward(q, k, v, cos, sin, *kept)
        context.settings = (segments, blocks, masks, size, scale)
        return _unpack(made, segments.queries, size, segments.tokens)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        q, k, v, cos, sin, *kept = context.saved_tensors  # once: checkpointing allows no more
        segments, blocks, masks, size, scale = context.settings
        given = _pack(gradient, segments.queries, size)
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for block, p, mask in zip(blocks, kept, masks, strict=True):
            p = block.probabilities(q, k, scale) if p is None else p
            dout = given.as_strided(*block.queries)
            dv.as_strided(*block.keys).baddbmm_(_dropped(p, mask).transpose(1, 2), dout)
            ds = _dropped(torch.bmm(dout, v.as_strided(*block.turned)), mask)
            run(kernels_for(ds).softmax_backward, ds, p, *block.seen, scale)
            torch.bmm(ds, k.as_strided(*block.keys), out=dq.as_strided(*block.queries))
            dk.as_strided(*block.keys).baddbmm_(ds.transpose(1, 2), q.as_strided(*block.queries))
        rows = segments.tokens
        dq = _unpack(dq, segments.queries, size, rows, cos, sin)
        dk = _unpack(dk, segments, size, rows, cos, sin)
        return dq, dk, _unpack(dv, segments, size, rows), *[None] * 7


def _dropped(p: Tensor, mask: Mask | None) -> Tensor:
    return p if mask is None else mask.apply(p.view(-1, p.shape[-1])).view_as(p)


Place = tuple[tuple[int, int, int], tuple[int, int, int], int]
"""Of a matrix for each group in a packed tensor: shape, strides and first element."""


class _Block(NamedTuple):
    """A block of queries of one sequence and the keys that they may see."""

    queries: Place
    """(K, N / K * rows, D)"""
    keys: Place
    """(K, columns, D)"""
    turned: Place
    """(K, D, columns)"""
    seen: tuple[int, ...]
    """What the kernels are told of its scores (K, N / K * rows, columns)."""

    def probabilities(self, q: Tensor, k: Tensor, scale: float) -> Tensor:
        p = torch.bmm(q.as_strided(*self.queries), k.as_strided(*self.turned))
        run(kernels_for(p).softmax, p, *self.seen, scale)
        return p


@lru_cache(maxsize=8)
def _blocks(lengths: tuple[int, ...], heads: int, groups: int, size: int, reach: int) -> list[_Block]:
    """Where they lie in tensors that `_pack` made: queries by blocks, keys and values by sequences."""
    found = []
    query = key = 0  # rows of the packed tensors that are passed
    for length in lengths:
        room, first = rounded(length), 0
        for count in blocks_of(length):
            rows, end = rounded(count), first + rounded(count)
            begin = max(0, first - reach + 1) // ROUND * ROUND
            at = (key * groups + begin) * size
            each = heads // groups * rows
            found.append(
                _Block(
                    ((groups, each, size), (each * size, size, 1), query * heads * size),
                    ((groups, end - begin, size), (room * size, size, 1), at),
                    ((groups, size, end - begin), (room * size, 1, size), at),
                    (heads * rows, end - begin, rows, first - begin, length - begin, reach),
                )
            )
            query, first = query + rows, first + count
        key += room
    return found


def _pack(x: Tensor, segments: Segments, size: int, cos: Tensor | None = None, sin: Tensor | None = None) -> Tensor:
    """(padded tokens, heads * D): for each sequence in turn a block of (heads, room, D)."""
    out = x.new_empty(segments.bounds[-1], x.shape[1])
    count, places = len(segments.lengths), (segments.starts, segments.padded)
    run(kernels_for(x).pack, x.contiguous(), cos, sin, *places, count, x.shape[1] // size, size, out)
    return out


def _unpack(
    packed: Tensor, segments: Segments, size: int, rows: int, cos: Tensor | None = None, sin: Tensor | None = None
) -> Tensor:
    out = packed.new_empty(rows, packed.shape[1])
    out[sum(segments.lengths) :] = 0
    count, places = len(segments.lengths), (segments.starts, segments.padded)
    run(kernels_for(packed).unpack, packed, cos, sin, *places, count, packed.shape[1] // size, size, out)
    return out
