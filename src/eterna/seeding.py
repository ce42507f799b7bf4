"""Order as a pure function of (seed, epoch, example id): nothing depends on a random generator's state."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction


def _rank(seed: int, epoch: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{epoch}\0{name}".encode(), digest_size=16).digest()


def order_of_epoch(ids: Sequence[str], weights: Sequence[float], seed: int, epoch: int) -> list[int]:
    """Positions of the examples seen in one epoch, in order.

    ids: unique example ids. weights: how often each example is seen in an epoch; 1.0 is once, 2.5 is twice, and once
    more in every other epoch. After any number of epochs each example was seen as often as its weight says, within 1.
    No epoch is longer than epoch 0; one may be shorter by an example for each weight whose share of the examples of
    that weight is no whole number.
    """
    chosen: list[tuple[bytes, int]] = []
    by_weight: dict[float, list[int]] = {}
    for position, weight in enumerate(weights):
        by_weight.setdefault(weight, []).append(position)
    for weight, positions in by_weight.items():
        whole = math.floor(weight)
        ring = sorted(positions, key=lambda position: _rank(seed, 0, f"part\0{ids[position]}"))
        part = Fraction(str(weight)) - whole
        extra = [position for place, position in enumerate(ring) if _is_due(part, epoch, place, len(ring))]
        for copy in range(whole):
            chosen += [(_rank(seed, epoch, f"{copy}\0{ids[position]}"), position) for position in positions]
        chosen += [(_rank(seed, epoch, f"{whole}\0{ids[position]}"), position) for position in extra]
    return [position for _, position in sorted(chosen)]


def _is_due(share: Fraction, epoch: int, place: int, count: int) -> bool:
    """Whether the example at `place` of `count` has its turn: in `share` (below 1) of all epochs, evenly spread.

    Before epoch n it has had ceil(n * share + place / count) turns, less 1 for every place but the first; in whole
    numbers, because a rounding error would change how many have theirs.
    """
    step = share.numerator * count
    unit = share.denominator * count
    before = epoch * step + place * share.denominator
    return -(-(before + step) // unit) > -(-before // unit)


def seed_for(seed: int, *names: str) -> int:
    """A 32-bit seed for one purpose, apart from every other purpose."""
    return int.from_bytes(_rank(seed, 0, "\0".join(names))[:4], "big")
