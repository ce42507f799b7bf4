"""Orders of an epoch that look at the examples' lengths, to pad less. Each is made from the epoch's own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transformers.trainer_pt_utils import BatchRebalanceSampler

from eterna.data.batches import FILLER
from eterna.training.order import EpochOrder

STRETCH = 50


def group_by_length(positions: Sequence[int], lengths: Sequence[int], batch: int) -> list[int]:
    """The same positions, sorted by length within stretches, so that neighbours are of about one length.

    lengths: tokens of the example at each position. batch: examples of one optimizer step. A stretch is up to STRETCH
    of them, and there are four stretches or more where the epoch is long enough, so that epochs differ. The longest
    example comes first: what does not fit the memory shows at once.
    """
    size = batch * max(1, min(STRETCH, len(positions) // (4 * batch)))
    found: list[int] = []
    for start in range(0, len(positions), size):
        found += sorted(positions[start : start + size], key=lambda position: -lengths[position])
    if found:
        longest = max(range(len(found)), key=lambda index: lengths[found[index]])
        found[0], found[longest] = found[longest], found[0]
    return found


class BalancedBatches(BatchRebalanceSampler):  # type: ignore[misc]
    """transformers' batches of about equal cost, of the epoch's order instead of one drawn by torch.

    A last step with fewer examples than batches is filled up by the epoch's first ones, which are seen once more.
    """

    def __init__(
        self,
        order: EpochOrder,
        lengths: Sequence[int],
        step: int,
        processes: int,
        accumulation: int,
        rank: int,
        drop_last: bool,
    ) -> None:
        self.order = order
        self.tokens = list(lengths)
        self.longest = len(order.positions())  # of epoch 0
        super().__init__(
            [0] * self.longest, step, processes, accumulation, shuffle=False, rank=rank, drop_last=drop_last
        )

    def __iter__(self) -> Iterator[list[int]]:
        positions = self.order.positions()
        positions += [FILLER] * (self.longest - len(positions))
        self.lengths = [1 if position == FILLER else self.tokens[position] for position in positions]
        for batch in super().__iter__():
            yield [positions[index] for index in batch]
