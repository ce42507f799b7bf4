"""The replies of the tuned model that scored lowest: what to look at first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SHOWN = 8
JUDGED = ("relevancy", "coherence", "style", "insightfulness")


@dataclass(frozen=True)
class Weak:
    """One reply with its figures."""

    title: str
    prompt: str
    reply: str
    reference: str
    figures: list[tuple[str, float]]


def weakest_replies(rows: Iterable[dict[str, Any]]) -> list[Weak]:
    """The lowest by the mean of the metrics between 0 and 1 that scored them."""
    ranked = []
    for row in rows:
        figures = [
            (name, float(found["tuned"]))
            for name, found in row["scores"].items()
            if name in JUDGED and found["tuned"] is not None
        ]
        if figures:
            ranked.append((sum(value for _, value in figures) / len(figures), row, figures))
    ranked.sort(key=lambda one: one[0])
    return [
        Weak(row["title"], row["messages"][-1]["content"], row["tuned"], row["reference"], figures)
        for _, row, figures in ranked[:SHOWN]
    ]
