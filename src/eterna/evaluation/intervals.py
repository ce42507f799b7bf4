"""95 % intervals by the bootstrap over groups of dependent items (books, NPCs, conversations)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from eterna.runs import SYSTEMS, Score

DRAWS = 1000
SEED = 12345
SIGNATURE = f"ci:bootstrap{DRAWS},by-group,seed{SEED}"


def multiplicities(groups: Sequence[str]) -> Any:
    """How often each item is drawn in each resample: (DRAWS, items), float64.

    groups: what each item belongs to. Items of one group are drawn together; with a single group, items are drawn
    alone. The draws are a function of the groups alone, so that figures of two systems on the same items are paired.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8 and 13.
    """
    import numpy

    names = list(dict.fromkeys(groups))
    cluster = [names.index(group) for group in groups] if len(names) > 1 else list(range(len(groups)))
    count = max(cluster) + 1
    picks = numpy.random.default_rng(SEED).integers(0, count, size=(DRAWS, count))
    drawn = numpy.zeros((DRAWS, count))
    numpy.add.at(drawn, (numpy.arange(DRAWS)[:, None], picks), 1.0)
    return drawn[:, cluster]


def bootstrap_ratio(
    numerators: Sequence[Sequence[float]], denominators: Sequence[float], groups: Sequence[str]
) -> list[list[float]]:
    """Resampled ratios sum(numerator) / sum(denominator), paired over several systems.

    numerators: one row of per-item values for each system; denominators: per-item, shared. Returns one list of DRAWS
    ratios per system, from the same draws.
    """
    import numpy

    drawn = multiplicities(groups)  # (DRAWS, items)
    below = drawn @ numpy.asarray(denominators, dtype=float)
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
    """Base, tuned and their difference (tuned - base) from their values and paired draws."""
    difference = [after - before for before, after in zip(*draws, strict=True)]
    rows = zip(SYSTEMS, [*values, values[1] - values[0]], [*draws, difference], strict=True)
    return [
        Score(metric, system, value, *interval(drawn), n, direction, signature, part=part)
        for system, value, drawn in rows
    ]


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
    signed = f"{signature}|{SIGNATURE}"
    if not kept:
        return not_scored(metric, "no item could be scored for both models", direction, signed, part)
    rows = [[item[0] for item in kept], [item[1] for item in kept]]
    draws = bootstrap_ratio(rows, [1.0] * len(kept), [item[2] for item in kept])
    values = [math.fsum(row) / len(row) for row in rows]
    return paired_scores(metric, values, draws, len(kept), direction, signed, part)
