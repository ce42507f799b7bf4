"""95 % intervals by the bootstrap over groups of dependent items (books, NPCs, conversations)."""

from __future__ import annotations

from collections.abc import Sequence

DRAWS = 1000
SEED = 12345


def bootstrap_ratio(
    numerators: Sequence[Sequence[float]], denominators: Sequence[float], groups: Sequence[str]
) -> list[list[float]]:
    """Resampled ratios sum(numerator) / sum(denominator), paired over several systems.

    numerators: one row of per-item values for each system; denominators: per-item, shared; groups: what each item
    belongs to. Items of one group are drawn together; with a single group, items are drawn alone. Returns one list of
    DRAWS ratios per system, from the same draws, so that differences between systems are paired.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8 and 13.
    """
    import numpy

    names = list(dict.fromkeys(groups))
    cluster = [names.index(group) for group in groups] if len(names) > 1 else list(range(len(groups)))
    count = max(cluster) + 1
    top = numpy.zeros((len(numerators), count))
    bottom = numpy.zeros(count)
    for item, where in enumerate(cluster):
        bottom[where] += denominators[item]
        for system, row in enumerate(numerators):
            top[system, where] += row[item]
    picks = numpy.random.default_rng(SEED).integers(0, count, size=(DRAWS, count))
    ratios: list[list[float]] = (top[:, picks].sum(axis=2) / bottom[picks].sum(axis=1)).tolist()
    return ratios


def interval(draws: Sequence[float]) -> tuple[float, float]:
    """The middle 95 % of the draws."""
    import numpy

    return float(numpy.percentile(draws, 2.5)), float(numpy.percentile(draws, 97.5))
