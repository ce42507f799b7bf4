"""Order as a pure function of (seed, epoch, example id): nothing depends on a random generator's state."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence


def _rank(seed: int, epoch: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{epoch}\0{name}".encode(), digest_size=16).digest()


def order_of_epoch(ids: Sequence[str], weights: Sequence[float], seed: int, epoch: int) -> list[int]:
    """Positions of the examples seen in one epoch, in order.

    ids: unique example ids. weights: how often each example is seen in an epoch; 1.0 is once, 2.5 is twice plus a
    half of the examples of that weight, which half changing with the epoch. The length is the same in every epoch.
    """
    chosen: list[tuple[bytes, int]] = []
    by_weight: dict[float, list[int]] = {}
    for position, weight in enumerate(weights):
        by_weight.setdefault(weight, []).append(position)
    for weight, positions in by_weight.items():
        whole = math.floor(weight)
        part = round((weight - whole) * len(positions))
        extra = sorted(positions, key=lambda position: _rank(seed, epoch, f"part\0{ids[position]}"))[:part]
        for copy in range(whole):
            chosen += [(_rank(seed, epoch, f"{copy}\0{ids[position]}"), position) for position in positions]
        chosen += [(_rank(seed, epoch, f"{whole}\0{ids[position]}"), position) for position in extra]
    return [position for _, position in sorted(chosen)]


def seed_for(seed: int, *names: str) -> int:
    """A 32-bit seed for one purpose, apart from every other purpose."""
    return int.from_bytes(_rank(seed, 0, "\0".join(names))[:4], "big")
