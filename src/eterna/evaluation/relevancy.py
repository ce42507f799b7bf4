"""Relevancy: does a reply fit its own context better than somebody else's?

    value   share of other contexts that the reply fits less well than its own, ties counting half; 0 to 1, chance 0.5
    higher is better

A context is what was said last (`conversation`), the `place`, the open `book`, or a `persona`. Each is scored by itself
as the greatest likeness (sentences.py) between the reply and one of its lines; the other contexts of that kind in the
held-out data, in the same language, are the distractors. The value of a reply is the mean over the contexts it has.

Source: ranking a context among distractors is the retrieval view of dialogue relevance (Lowe et al., The Ubuntu
Dialogue Corpus, 2015); the largest likeness over lines follows the evidence that one pooled context vector is worse.
Known weakness: a reply that repeats the context's words or topic without answering scores high; books of one world
resemble each other; in languages other than English the figure rests partly on shared letters.
"""

from __future__ import annotations

from collections.abc import Sequence

from eterna.data import Item
from eterna.evaluation.background import Background, item_language
from eterna.evaluation.sentences import look_up, ranked_likeness

MAX_DISTRACTORS = 50
CONTEXTS = ("conversation", "place", "book", "persona")
Lines = tuple[str, ...]


def score_relevancy(
    replies: Sequence[str], items: Sequence[Item], background: Background
) -> dict[str, list[float | None]]:
    """Values per item, overall under "" and for each kind of context under `context: KIND`."""
    languages = [item_language(item) for item in items]
    parts: dict[str, list[float | None]] = {}
    for kind in CONTEXTS:
        values = _score_kind(kind, replies, items, languages)
        if any(value is not None for value in values):
            parts[f"context: {kind}"] = values
    overall = []
    for place in range(len(items)):
        found = [value for part in parts.values() if (value := part[place]) is not None]
        overall.append(sum(found) / len(found) if found else None)
    return {"": overall, **parts}


def context_lines(item: Item, kind: str) -> Lines:
    """The lines of one kind of context, empty when the item has none."""
    if kind == "conversation":
        return (item.messages[-1]["content"],) if item.messages else ()
    return dict(item.scene.facts).get(kind, ())


def _score_kind(
    kind: str, replies: Sequence[str], items: Sequence[Item], languages: Sequence[str]
) -> list[float | None]:
    values: list[float | None] = [None] * len(items)
    for language in dict.fromkeys(languages):
        places = [place for place, one in enumerate(languages) if one == language]
        contexts = {place: lines for place in places if (lines := context_lines(items[place], kind))}
        distinct = list(dict.fromkeys(contexts.values()))
        if len(distinct) < 3:
            continue
        owners = [{items[place].group for place, lines in contexts.items() if lines == one} for one in distinct]
        flat = [line for lines in distinct for line in lines]
        texts = [replies[place] for place in contexts]
        look_up([*texts, *flat])
        alike = ranked_likeness(texts, flat, language)  # (replies, lines)
        starts = [sum(len(lines) for lines in distinct[:number]) for number in range(len(distinct))]
        for row, (place, lines) in enumerate(contexts.items()):
            best = [
                float(alike[row, start : start + len(one)].max()) for start, one in zip(starts, distinct, strict=True)
            ]
            own = distinct.index(lines)
            # Another turn of the same conversation is no distractor: it may fit as well.
            others = [
                best[number]
                for number in range(len(distinct))
                if number != own and (kind != "conversation" or items[place].group not in owners[number])
            ][:MAX_DISTRACTORS]
            if replies[place].strip() and len(others) >= 2:
                values[place] = sum((best[own] > other) + (best[own] == other) / 2 for other in others) / len(others)
            elif len(others) >= 2:
                values[place] = 0.0
    return values
