"""95 % intervals by the bootstrap over groups of dependent items (books, NPCs, conversations).

A single item has no interval: drawn again it is itself, so its interval would have no width and look certain.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal

from eterna.runs import SYSTEMS, Score

DRAWS = 1000
SEED = 12345
SIGNATURE = f"ci:bootstrap{DRAWS},by-group,seed{SEED}"


def multiplicities(groups: Sequence[str]) -> Any:
    """How often each item is drawn in each resample: (DRAWS, items), float64, not to be written to.

    groups: what each item belongs to. Items of one group are drawn together; with a single group, items are drawn
    alone. The draws are a function of the groups alone, so that figures of two systems on the same items are paired.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8 and 13.
    """
    return _multiplicities(tuple(groups))


@functools.lru_cache(maxsize=16)  # every figure on the same items is drawn alike
def _multiplicities(groups: tuple[str, ...]) -> Any:
    import numpy

    names = list(dict.fromkeys(groups))
    cluster = [names.index(group) for group in groups] if len(names) > 1 else list(range(len(groups)))
    count = max(cluster) + 1
    picks = numpy.random.default_rng(SEED).integers(0, count, size=(DRAWS, count))
    drawn = numpy.zeros((DRAWS, count))
    numpy.add.at(drawn, (numpy.arange(DRAWS)[:, None], picks), 1.0)
    each = drawn[:, cluster]
    each.setflags(write=False)
    return each


def bootstrap_ratio(
    numerators: Sequence[Sequence[float]], denominators: Sequence[float], groups: Sequence[str]
) -> list[list[float]]:
    """Resampled ratios sum(numerator) / sum(denominator), paired over several systems.

    numerators: one row of per-item values for each system; denominators: per-item, shared. Returns one list of DRAWS
    ratios per system, from the same draws; NaN where a draw holds nothing to divide by.
    """
    import numpy

    drawn = multiplicities(groups)  # (DRAWS, items)
    below = drawn @ numpy.asarray(denominators, dtype=float)
    below[below == 0] = numpy.nan
    return [(drawn @ numpy.asarray(row, dtype=float) / below).tolist() for row in numerators]


def interval(draws: Sequence[float]) -> tuple[float, float]:
    """The middle 95 % of the draws."""
    import numpy

    return float(numpy.percentile(draws, 2.5)), float(numpy.percentile(draws, 97.5))


def paired_scores(
    metric: str,
    values: Sequence[float],
    draws: Sequence[Sequence[float]],
    n: int,
    direction: Literal["lower", "higher"],
    signature: str,
    part: str = "",
) -> list[Score]:
    """Base, tuned and their difference (tuned - base) from their values and paired draws over `n` items.

    Draws in which a system has no finite figure are left out; a single item has no interval.
    """
    pairs = [pair for pair in zip(*draws, strict=True) if all(map(math.isfinite, pair))] if n > 1 else []
    drawn = ([base for base, _ in pairs], [tuned for _, tuned in pairs], [tuned - base for base, tuned in pairs])
    rows = zip(SYSTEMS, [*values, values[1] - values[0]], drawn, strict=True)
    scores = []
    for system, value, one in rows:
        low, high = interval(one) if one else (None, None)
        scores.append(Score(metric, system, value, low, high, n, direction, signature, part=part))
    return scores


def signed(*parts: str) -> str:
    """A signature of its parts, without the empty ones."""
    return "|".join(filter(None, parts))


def not_scored(
    metric: str, reason: str, direction: Literal["lower", "higher"], signature: str, part: str = ""
) -> list[Score]:
    """The same three rows where there is no figure, with the reason."""
    return [Score(metric, system, None, None, None, 0, direction, signature, reason, part) for system in SYSTEMS]


def mean_scores(
    metric: str,
    base: Sequence[float | None],
    tuned: Sequence[float | None],
    groups: Sequence[str],
    direction: Literal["lower", "higher"],
    signature: str,
    part: str = "",
) -> list[Score]:
    """Means of per-item values with paired intervals. Items that either system has no value for are left out."""
    kept = [
        (before, after, group)
        for before, after, group in zip(base, tuned, groups, strict=True)
        if before is not None and after is not None and math.isfinite(before) and math.isfinite(after)
    ]
    whole = signed(signature, SIGNATURE)
    if not kept:
        return not_scored(metric, "no item could be scored for both models", direction, whole, part)
    rows = [[item[0] for item in kept], [item[1] for item in kept]]
    draws = bootstrap_ratio(rows, [1.0] * len(kept), [item[2] for item in kept])
    values = [math.fsum(row) / len(row) for row in rows]
    return paired_scores(metric, values, draws, len(kept), direction, whole, part)
