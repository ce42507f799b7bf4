"""Sequences of tokens as the input of one step without padding.

Legend: L tokens of a sequence, T of all of them, N positions whose next token is learnt or scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from eterna.fast.segments import ROWS, Segments, rounded

CPU_TOKENS = 2048
"""Of one pass on a CPU: large enough for the matrix products, small enough for the caches."""


def fill(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Which examples go into one micro-batch: the longest first, each into the first where it fits.

    None holds more than `budget` tokens, unless a single example does. The order is a function of the lengths alone.
    """
    batches: list[list[int]] = []
    room: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        where = next((number for number, left in enumerate(room) if lengths[place] <= left), len(room))
        if where == len(room):
            batches.append([])
            room.append(budget)
        batches[where].append(place)
        room[where] -= lengths[place]
    return batches


def part_of_lengths(lengths: Sequence[int], labelled: int) -> dict[str, Any]:
    """A micro-batch of sequences of these lengths, with `labelled` labels, of which only the shape is of interest."""
    segments = Segments(tuple(lengths))
    ids = torch.zeros((1, segments.tokens), dtype=torch.long)  # (1, T)
    at = torch.zeros(max(labelled, 1), dtype=torch.long)  # (N,)
    counts = torch.ones(max(labelled, 1))
    return {"input_ids": ids, "position_ids": ids, "segments": segments, "keep": at, "targets": at, "weights": counts}


def part_of(rows: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """What FastPath's model is called with, for sequences of token ids (L,) and of the weights of their losses (L,).

    Positions of weight 0 may be among those that are kept: their number is rounded up.
    """
    lengths = tuple(len(ids) for ids, _ in rows)
    segments = Segments(lengths)
    filler = segments.tokens - sum(lengths)
    ids = torch.cat([*(ids for ids, _ in rows), rows[0][0][:1].expand(filler)])  # (T,)
    positions = torch.cat([*(torch.arange(length) for length in lengths), torch.arange(filler)])
    counts = torch.cat([*(weights for _, weights in rows), torch.zeros(filler)])
    counts[segments.starts[:-1]] = 0.0
    following, counts = ids.roll(-1), counts.roll(-1)  # (T,): what each position predicts, and its weight
    learnt = counts > 0
    spare = rounded(max(1, int(learnt.sum())), ROWS) - int(learnt.sum())
    learnt[(~learnt).nonzero()[:spare, 0]] = True  # of weight 0, so that the count is a multiple of ROWS
    (keep,) = learnt.nonzero(as_tuple=True)  # (N,)
    return {
        "input_ids": ids[None],
        "position_ids": positions[None],
        "segments": segments,
        "keep": keep,
        "targets": following[keep],
        "weights": counts[keep],
    }
