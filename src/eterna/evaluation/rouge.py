"""ROUGE-1, ROUGE-2 and ROUGE-L: overlap with the reference. They never say how good a reply is.

    ROUGE-N   matches = n-grams that reply and reference share, each at most as often as both have it
    ROUGE-L   matches = length of the longest common subsequence of words, in order, gaps allowed

    precision = matches / the reply's     recall = matches / the reference's     F = 2 P R / (P + R)

The score is the mean F over items. Range 0 to 1, higher is more overlap. Source: Lin, ROUGE, ACL workshop 2004.
Words keep the letters of every script (see `words`), so "corazón" and "año" stay whole; nothing is stemmed, because the
usual stemmer knows English only. On English ASCII text the figures equal those of the rouge_score package.

Known weakness: other words for the same thing count as a miss, and longer replies gain recall, which is why
`rouge_of` gives precision and recall apart. ROUGE-Lsum is left out: it needs sentences marked by line breaks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from eterna.evaluation.intervals import mean_scores, signed
from eterna.evaluation.words import SIGNATURE as WORDS
from eterna.evaluation.words import ngrams, words
from eterna.runs import Score

METRICS = ("rouge1", "rouge2", "rougeL")
SIGNATURE = f"f1,mean-over-items,{WORDS}"


class Overlap(NamedTuple):
    """Shares from 0 to 1; all 0 where either side has nothing to match."""

    precision: float
    recall: float
    f: float


def score_rouge(
    base_replies: Sequence[str],
    tuned_replies: Sequence[str],
    references: Sequence[str],
    groups: Sequence[str],
    made: str = "",
) -> list[Score]:
    """Mean F of base and tuned with their paired difference, for each of METRICS.

    made: how the replies came about, for the signature.
    """
    signature = signed(SIGNATURE, made)
    base, tuned = (
        [rouge_of(reply, reference) for reply, reference in zip(replies, references, strict=True)]
        for replies in (base_replies, tuned_replies)
    )
    return [
        score
        for metric in METRICS
        for score in mean_scores(
            metric, [item[metric].f for item in base], [item[metric].f for item in tuned], groups, "higher", signature
        )
    ]


def rouge_of(reply: str, reference: str) -> dict[str, Overlap]:
    """Precision, recall and F of one reply, by the names of METRICS."""
    said, expected = words(reply), words(reference)
    return {
        "rouge1": _ngram_overlap(said, expected, 1),
        "rouge2": _ngram_overlap(said, expected, 2),
        "rougeL": _overlap(_common_subsequence(said, expected), len(said), len(expected)),
    }


def _ngram_overlap(said: Sequence[str], expected: Sequence[str], size: int) -> Overlap:
    ours, theirs = Counter(ngrams(said, size)), Counter(ngrams(expected, size))
    return _overlap((ours & theirs).total(), ours.total(), theirs.total())


def _overlap(matches: int, ours: int, theirs: int) -> Overlap:
    if not matches:
        return Overlap(0.0, 0.0, 0.0)
    precision, recall = matches / ours, matches / theirs
    return Overlap(precision, recall, 2 * precision * recall / (precision + recall))


def _common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest common subsequence, row by row of the usual table: len(left) x len(right) steps."""
    row = [0] * (len(right) + 1)
    for word in left:
        diagonal = 0
        for place, other in enumerate(right, start=1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]
