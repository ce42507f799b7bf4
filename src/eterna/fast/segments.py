"""Several sequences in one row, one after another, without padding between them.

Legend: S sequences, T tokens in all (rounded up to a multiple of ROWS; what is beyond the last sequence is filler).
A sequence's room is its length, rounded up likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

ROUND = 32
"""Sizes of products within a sequence are multiples of this."""
ROWS = 64
"""Tokens of a row, and those that are looked at, come in multiples of this. oneDNN compiles each of its products anew
for every size that it meets, and keeps what it compiled: with few sizes a run is faster and smaller."""


BLOCK = 192
"""Queries are taken in blocks of about this many, so that few products are made of what they may not see."""


@dataclass(frozen=True)
class Segments:
    """Where each sequence begins."""

    lengths: tuple[int, ...]
    starts: Tensor = field(init=False)
    """(S + 1,) int64: the first token of each, and the end of the last."""
    padded: Tensor = field(init=False)
    """(S + 1,) int64: the same where each sequence takes its room."""
    bounds: tuple[int, ...] = field(init=False)
    """`padded` as numbers."""

    def __post_init__(self) -> None:
        bounds = (0, *accumulate(rounded(length) for length in self.lengths))
        object.__setattr__(self, "bounds", bounds)
        object.__setattr__(self, "starts", torch.tensor([0, *accumulate(self.lengths)]))
        object.__setattr__(self, "padded", torch.tensor(bounds))

    @property
    def tokens(self) -> int:
        """T."""
        return rounded(sum(self.lengths), ROWS)

    @cached_property
    def queries(self) -> Segments:
        """The same tokens in blocks of about BLOCK; none holds tokens of two sequences."""
        return Segments(tuple(count for length in self.lengths for count in blocks_of(length)))


def blocks_of(length: int) -> list[int]:
    """A sequence's tokens in blocks of about BLOCK, of one size but for the last; multiples of ROUND but for it."""
    step = rounded(-(-length // max(1, round(length / BLOCK))))
    return [min(step, length - begin) for begin in range(0, length, step)]


def rounded(count: int, to: int = ROUND) -> int:
    """The next multiple."""
    return -(-count // to) * to
