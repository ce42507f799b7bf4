"""The composite that picks the best checkpoint: weighted gains since the first evaluation.

    composite = sum over metrics of weight * gain
    gain      perplexity: ln(now / first), so a weight of -1 rewards each e-fold;  bleu: (now - first) / 100;
              every other metric (0 to 1): now - first

0 at the first evaluation; higher is better. A metric that has no figure counts as no gain, and is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Composite:
    """The value and what each metric adds to it."""

    value: float
    terms: dict[str, float]
    missing: tuple[str, ...] = ()


def composite_of(now: Mapping[str, float], first: Mapping[str, float], weights: Mapping[str, float]) -> Composite:
    """The composite of one evaluation, compared with the first."""
    terms: dict[str, float] = {}
    missing = []
    for name, weight in weights.items():
        if name not in now or name not in first:
            missing.append(name)
            continue
        terms[name] = weight * _gain(name, now[name], first[name])
    return Composite(math.fsum(terms.values()), terms, tuple(missing))


def _gain(name: str, now: float, first: float) -> float:
    if name == "perplexity":
        return math.log(now / first) if math.isfinite(now) and math.isfinite(first) else 0.0
    return (now - first) / (100 if name == "bleu" else 1)
