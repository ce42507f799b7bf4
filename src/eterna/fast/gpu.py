"""What a GPU has ready for the fast path: torch's attention over sequences of many lengths, Liger's gated units.

Legend: T tokens, N heads of the queries, K of the keys and values, D size of a head, I width of a gated unit.

Written after their documentation, and tested on a CPU by what they say that they compute; not yet run on a GPU.
"""

from __future__ import annotations

import importlib.util
import inspect
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from eterna.fast.segments import Segments


def on_gpu(x: Tensor) -> bool:
    """Whether x is where these functions run."""
    return bool(x.is_cuda)


def takes_varlen(q: Tensor, dropout: float) -> bool:
    """Whether torch's varlen_attn is there for such queries: on a GPU, in 16 bits, without dropout."""
    half = q.dtype in (torch.bfloat16, torch.float16)
    return on_gpu(q) and half and not dropout and varlen_function() is not None


@cache
def varlen_function() -> Any:
    """torch.nn.attention.varlen.varlen_attn where this torch has it with windows and grouped keys; else None."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters
    return varlen_attn if {"scale", "window_size", "enable_gqa"} <= set(known) else None


def varlen(q: Tensor, k: Tensor, v: Tensor, segments: Segments, scale: float, reach: int) -> Tensor:
    """Causal attention within each sequence, over its last `reach` tokens. q (T, N, D), k and v (T, K, D), to (T, N D).

    What lies beyond the last sequence counts as one more: what is not written could be anything, and would spread.
    """
    ends = [*segments.starts.tolist(), q.shape[0]] if segments.starts[-1] < q.shape[0] else segments.starts.tolist()
    longest = max(end - begin for begin, end in pairwise(ends))
    at = torch.tensor(ends, dtype=torch.int32, device=q.device)
    window = (reach - 1, 0) if reach < longest else (-1, 0)
    grouped = q.shape[1] != k.shape[1]
    mixed = varlen_function()(q, k, v, at, at, longest, longest, scale=scale, window_size=window, enable_gqa=grouped)
    out: Tensor = mixed.reshape(q.shape[0], -1)
    return out


def liger_gate(gate: Tensor, kind: int) -> Any:
    """Liger's act(gate) * up for the kinds of `rows.KINDS`, a function of gate and up (T, I); None without it."""
    functions = _liger_functions() if on_gpu(gate) else None
    return None if functions is None else functions[kind]


@cache
def _liger_functions() -> tuple[Any, Any] | None:
    if importlib.util.find_spec("liger_kernel") is None:
        return None
    from liger_kernel.ops.geglu import LigerGELUMulFunction
    from liger_kernel.ops.swiglu import LigerSiLUMulFunction

    return LigerSiLUMulFunction.apply, LigerGELUMulFunction.apply
