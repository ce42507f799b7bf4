"""Coherence: do the sentences of a reply follow from what was said and from each other?

    value   (local + order) / 2 * (1 - repetition); 0 to 1, higher is better
    local        mean likeness of each sentence with the one before it, the first with what was said last; 0 to 1
    order        share of shuffled orders of its sentences whose local likeness is lower, ties half; 0.5 for one
    repetition   share of its word trigrams that it used before

Source: the adjacent-sentence likeness is that of Foltz, Kintsch & Landauer, The Measurement of Textual Coherence with
Latent Semantic Analysis, 1998, on sentence embeddings; the order test is Barzilay & Lapata's, Modeling Local Coherence,
2008, as a score of one text. The guard against repetition is needed because repeating oneself is locally coherent.
Known weakness: blind to contradictions and false logic; replies of one or two sentences tell little each.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from eterna.data import Item
from eterna.evaluation.background import Background, item_language
from eterna.evaluation.sentences import likeness, look_up, sentences_of
from eterna.evaluation.words import ngrams, words
from eterna.seeding import seed_for

SHUFFLES = 12
LONGEST = 24


def score_coherence(
    replies: Sequence[str], items: Sequence[Item], background: Background
) -> dict[str, list[float | None]]:
    """Values per item; an empty reply is worth 0."""
    befores = [item.messages[-1]["content"] if item.messages else "" for item in items]
    parts = [_parts(text, before) for text, before in zip(replies, befores, strict=True)]
    look_up(unit for opening, sentences in parts for unit in [*opening, *sentences])
    values = [
        coherence_of(reply, before, item_language(item))
        for reply, before, item in zip(replies, befores, items, strict=True)
    ]
    return {"": list(values)}


def _parts(text: str, before: str) -> tuple[list[str], list[str]]:
    """(the last sentence of what was said before, the sentences of a text)."""
    return sentences_of(before)[-1:], sentences_of(text)[:LONGEST]


def coherence_of(text: str, before: str, language: str) -> float:
    """The value of one text. `before`: what was said last, empty when nothing was."""
    opening, sentences = _parts(text, before)
    if not sentences:
        return 0.0
    units = [*opening, *sentences]
    alike = likeness(units, units, language).clip(0, 1)  # (units, units)

    def local(order: Sequence[int]) -> float:
        pairs = list(itertools.pairwise(order))
        return sum(float(alike[left, right]) for left, right in pairs) / len(pairs) if pairs else 0.0

    first = list(range(len(opening)))
    rest = list(range(len(opening), len(units)))
    own = local([*first, *rest])
    draw = random.Random(seed_for(0, text))
    orders = [order for order in (draw.sample(rest, len(rest)) for _ in range(SHUFFLES)) if order != rest]
    lower = [(own > other) + (own == other) / 2 for other in (local([*first, *order]) for order in orders)]
    order = sum(lower) / len(lower) if lower else 0.5
    return (own + order) / 2 * (1 - _repetition(text))


def _repetition(text: str) -> float:
    trigrams = ngrams(words(text), 3)
    return 1 - len(set(trigrams)) / len(trigrams) if trigrams else 0.0
