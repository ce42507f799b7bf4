"""The sampler: positions of an epoch by `seeding.order_of_epoch`, whatever the random state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from torch.utils.data import Sampler

from eterna.data.batches import FILLER
from eterna.seeding import order_of_epoch


class EpochOrder(Sampler[int]):  # type: ignore[misc]
    """Yields the positions of the current epoch, then FILLER up to a multiple of `share`.

    `share` is the number of examples all processes take together in one forward pass. Filled up, the epoch gives every
    process equally many batches; accelerate would do so by repeating examples from the epoch's beginning. With
    `drop_last` an epoch ends before the batch that would not be full. `arrange`
    may put the positions into another order.

    The epoch is set through `start_epoch`, on purpose not named `set_epoch`: accelerate calls a method of that name
    with its own count, which starts from 0 again after a resume (accelerate issue 4071).
    """

    def __init__(
        self,
        ids: Sequence[str],
        weights: Sequence[float],
        seed: int,
        share: int = 1,
        drop_last: bool = False,
        arrange: Callable[[list[int]], list[int]] = list,
    ) -> None:
        self.arrange = arrange
        self.ids = list(ids)
        self.weights = list(weights)
        self.seed = seed
        self.epoch = 0
        whole = math.floor if drop_last else math.ceil
        self.length = whole(len(order_of_epoch(self.ids, self.weights, seed, 0)) / share) * share

    def start_epoch(self, epoch: int) -> None:
        """Use the order of this epoch from the next iteration on."""
        self.epoch = epoch

    def positions(self) -> list[int]:
        """All positions of the current epoch."""
        return self.arrange(order_of_epoch(self.ids, self.weights, self.seed, self.epoch))

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        positions = self.positions()[: self.length]
        return iter(positions + [FILLER] * (self.length - len(positions)))
