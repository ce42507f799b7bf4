"""Exact and near copies among examples, found before anything is tokenized.

A near copy shares at least half of its distinct pairs of neighbouring words with its original (Jaccard likeness).
MinHash proposes pairs, the true likeness decides.

Why pairs and a half, measured on 16,000 passages of English and Spanish novels, 904 synthetic conversations, 874 turns
of Calderón and the shipped world: with every tenth word replaced the median likeness is 0.67 (99 % above 0.56), with a
sentence moved 0.89 or more; between texts that nobody copied it is 0.30 at most. Triples fall below a half where every
seventh word is replaced. At 0.4, sums in one form of words ("What is 2 plus 40? The answer is ...") begin to count as
copies of each other; at 0.5 none does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eterna.data.compared import WordArrays, exact_key
from eterna.data.examples import RawExample
from eterna.data.sketches import Sketches, shingles

LIKENESS = 0.5
FEWEST_WORDS = 10  # below, one changed word makes another line: "¡Ay de mí triste!", "¡Ay de mí también!"
ON_DISK_ABOVE = 100_000  # examples; their sketches take 256 bytes each


@dataclass(frozen=True)
class NearPair:
    """Two examples, the earlier first, and the share of their word pairs that they have in common."""

    first: int
    second: int
    likeness: float


def exact_copies(examples: Sequence[RawExample]) -> dict[int, list[int]]:
    """The first position of each text that stands more than once, to all of its positions, in order."""
    import numpy

    keys: Any = numpy.empty((len(examples), 2), dtype=numpy.uint64)
    for number, example in enumerate(examples):
        keys[number] = numpy.frombuffer(exact_key(example), dtype=numpy.uint64)
    order = numpy.lexsort((keys[:, 1], keys[:, 0]))
    breaks = numpy.flatnonzero((keys[order[1:]] != keys[order[:-1]]).any(axis=1)) + 1
    classes = [found.tolist() for found in numpy.split(order, breaks) if len(found) > 1]
    return {found[0]: found for found in sorted(classes)}


def near_pairs(
    words: WordArrays, numbers: Sequence[int], train: int, on_disk_above: int = ON_DISK_ABOVE
) -> list[NearPair]:
    """Pairs of near copies among the positions `numbers`, which ascend; two held-out examples are no pair.

    train: how many of the first positions are training examples. Texts below FEWEST_WORDS words are left out. Above
    `on_disk_above` positions the sketches go to a temporary file that is removed before this returns.
    """
    import numpy

    with Sketches(len(numbers), on_disk=len(numbers) > on_disk_above) as sketches:
        for number in numbers:
            if len(words[number]) >= FEWEST_WORDS:
                sketches.add(number, shingles(words[number]))
        candidates = sketches.candidates()
    found: list[NearPair] = []
    known: tuple[int, Any] = (-1, None)
    for first, second in candidates[candidates[:, 0] < train].tolist():
        if known[0] != first:
            known = first, shingles(words[first])
        left, right = known[1], shingles(words[second])
        shared = len(numpy.intersect1d(left, right, assume_unique=True))
        likeness = shared / (len(left) + len(right) - shared)
        if likeness >= LIKENESS:
            found.append(NearPair(first, second, likeness))
    return found
