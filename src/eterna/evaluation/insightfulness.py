"""Insightfulness, an automatic stand-in: does a reply lead to the revelación it should serve, without telling it?

    value   share of ordinary answers that point to the revelación less than the reply does, ties half,
            times (1 - told); 0 to 1, ordinary talk gets 0.5 on average, higher is better
    told    share of the revelación's words covered by runs of 5 or more words that stand in the reply as they are

A reply points to a revelación as much as it is like its statement (sentences.py). Ordinary answers are those of the
training data, in the same language, that serve no revelación; of more than 256, a fixed draw. Only replies whose item
serves one are scored; the best of several counts.

This is a proxy, written `insightfulness_proxy`: whether a player gains an insight, only people can say (ratings.py).
Known weakness: it measures the topic of a reply, not its depth; a reply that names the theme flatly scores as high as
one that lets it be discovered.
"""

from __future__ import annotations

from collections.abc import Sequence

from eterna.data import Item
from eterna.evaluation.background import Background, item_language
from eterna.evaluation.sentences import look_up, ranked_likeness
from eterna.evaluation.words import ngrams, words

TOLD_RUN = 5
FEWEST_IDLE = 5


def score_insightfulness(
    replies: Sequence[str], items: Sequence[Item], background: Background
) -> dict[str, list[float | None]]:
    """Values per item; None where the item serves no revelación."""
    values: list[float | None] = []
    insights = {name: one.statement for name, one in background.revelaciones.items()}
    served = [(reply, item.scene.serves) for reply, item in zip(replies, items, strict=True) if item.scene.serves]
    look_up(text for reply, names in served for text in (reply, *(insights.get(name, reply) for name in names)))
    for reply, item in zip(replies, items, strict=True):
        language = item_language(item)
        idle = background.idle.get(language, ())
        found = [
            _value(reply, insights[name], idle, language)
            for name in item.scene.serves
            if name in insights and len(idle) >= FEWEST_IDLE
        ]
        values.append(max(found) if found else None)
    return {"": values}


def _value(reply: str, statement: str, idle: Sequence[str], language: str) -> float:
    if not reply.strip():
        return 0.0
    own, *others = ranked_likeness([statement], [reply, *idle], language)[0].tolist()
    ahead = sum((own > other) + (own == other) / 2 for other in others) / len(others)
    return float(ahead * (1 - told_share(reply, statement)))


def told_share(reply: str, statement: str) -> float:
    """Share of the statement's words that stand in the reply in runs of TOLD_RUN or more."""
    wanted = words(statement)
    said = set(ngrams(words(reply), TOLD_RUN))
    covered = {
        place
        for start, run in enumerate(ngrams(wanted, TOLD_RUN))
        if run in said
        for place in range(start, start + TOLD_RUN)
    }
    return len(covered) / max(len(wanted), 1)
