"""Several sequences in one row, one after another, without padding between them.

Legend: S sequences, T tokens in all (rounded up to a multiple of ROUND; what is beyond the last sequence is filler).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

ROUND = 16
"""Sizes of matrix products are multiples of this: few different ones, whose code oneDNN keeps."""


@dataclass(frozen=True)
class Segments:
    """Where each sequence begins."""

    lengths: tuple[int, ...]
    starts: Tensor = field(init=False)
    """(S + 1,) int64: the first token of each, and the end of the last."""
    padded: Tensor = field(init=False)
    """(S + 1,) int64: the same where each length is rounded up."""
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
        return rounded(sum(self.lengths))


def rounded(count: int) -> int:
    """The next multiple of ROUND."""
    return -(-count // ROUND) * ROUND
