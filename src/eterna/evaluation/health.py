"""Text health: what a model that is breaking down does first. None of it says that a reply is good.

    distinct_N     different word N-grams / all word N-grams, pooled over the replies; 0 to 1, higher is more varied
    repetition     share of a reply's word 4-grams that occurred before in the same reply; 0 to 1, lower is better
    length_gap     |ln((words + 1) / (reference words + 1))|; 0.69 is half or twice its length; lower is better
    empty          share of replies without a word; 0 to 1, lower is better
    stopped        share of replies that ended by themselves, not at the token limit; 0 to 1, higher is better

with `language_drift` and `copied_run` from their own files. All but distinct_N are means over replies.

Source: Li et al., A Diversity-Promoting Objective Function, NAACL 2016, for distinct_N; the other figures are plain
counts. Known weakness: distinct_N falls with the amount of text, so each pair of replies is cut to its shorter one's
words and both systems show the same number; it cannot be compared with figures of other data. Its interval holds the
pool's counts fixed, because a reply drawn twice would by itself make the text look repetitive. A refrain or a list is
repetition without being a fault. Length has no better direction, so only its distance from the reference is scored.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from eterna.evaluation.copying import score_copying
from eterna.evaluation.intervals import SIGNATURE as INTERVAL
from eterna.evaluation.intervals import bootstrap_ratio, mean_scores, not_scored, paired_scores, signed
from eterna.evaluation.language import score_drift
from eterna.evaluation.words import SIGNATURE as WORDS
from eterna.evaluation.words import ngrams, words
from eterna.runs import Score

DISTINCT_SIZES = (1, 2, 3)
REPEATED_SIZE = 4
REPEATED_GRAMS = f"{REPEATED_SIZE}-grams,{WORDS}"


def score_health(
    base: Sequence[str],
    tuned: Sequence[str],
    references: Sequence[str],
    groups: Sequence[str],
    base_stopped: Sequence[bool],
    tuned_stopped: Sequence[bool],
    languages: Sequence[str],
    training_texts: Sequence[str],
    made: str = "",
    trained_on: str = "",
) -> list[Score]:
    """Every figure of base and tuned with their paired difference.

    Up to `tuned_stopped` there is one entry for each item. languages: ISO 639-1 codes of the data; training_texts: what
    the tuned model learned from. For the signatures: how the replies were made, and a name of the training texts.
    """
    before, after, expected = ([words(text) for text in texts] for texts in (base, tuned, references))
    lengths = [len(reference) for reference in expected]
    scores = [score for size in DISTINCT_SIZES for score in _score_distinct(size, before, after, groups, made)]
    per_reply: list[tuple[str, list[float | None], list[float | None], Literal["lower", "higher"], str]] = [
        ("repetition", [*map(repetition, before)], [*map(repetition, after)], "lower", REPEATED_GRAMS),
        ("length_gap", _length_gaps(before, lengths), _length_gaps(after, lengths), "lower", WORDS),
        ("empty", [float(not reply) for reply in before], [float(not reply) for reply in after], "lower", WORDS),
        ("stopped", [*map(float, base_stopped)], [*map(float, tuned_stopped)], "higher", "stop-token"),
    ]
    for metric, first, second, direction, signature in per_reply:
        scores += mean_scores(metric, first, second, groups, direction, signed(signature, made))
    scores += score_drift(base, tuned, references, groups, languages, made)
    return scores + score_copying(base, tuned, groups, training_texts, signed(made, trained_on))


def repetition(reply: Sequence[str]) -> float | None:
    """Share of the 4-grams of a reply, given as words, that occurred before in it; None below four words."""
    found = ngrams(reply, REPEATED_SIZE)
    return (len(found) - len(set(found))) / len(found) if found else None


def _length_gaps(replies: Sequence[Sequence[str]], lengths: Sequence[int]) -> list[float | None]:
    return [abs(math.log((len(reply) + 1) / (length + 1))) for reply, length in zip(replies, lengths, strict=True)]


def _score_distinct(
    size: int, base: Sequence[Sequence[str]], tuned: Sequence[Sequence[str]], groups: Sequence[str], made: str
) -> list[Score]:
    metric, signature = f"distinct_{size}", signed(f"equal-words,{WORDS}", made, INTERVAL)
    rows: tuple[list[list[tuple[str, ...]]], list[list[tuple[str, ...]]]] = ([], [])
    kept = []
    for before, after, group in zip(base, tuned, groups, strict=True):
        shorter = min(len(before), len(after))
        if shorter >= size:
            rows[0].append(ngrams(before[:shorter], size))
            rows[1].append(ngrams(after[:shorter], size))
            kept.append(group)
    if not kept:
        return not_scored(metric, f"no reply of both models has {size} words", "higher", signature)
    shares = [_distinct_shares(row) for row in rows]
    totals = [float(len(reply)) for reply in rows[0]]
    values = [math.fsum(row) / sum(totals) for row in shares]
    draws = bootstrap_ratio(shares, totals, kept)
    return paired_scores(metric, values, draws, len(kept), "higher", signature)


def _distinct_shares(replies: Sequence[Sequence[tuple[str, ...]]]) -> list[float]:
    """How many different n-grams each reply adds: one that occurs k times in the pool counts 1/k at each place."""
    pool = Counter(gram for reply in replies for gram in reply)
    return [math.fsum(1 / pool[gram] for gram in reply) for reply in replies]
