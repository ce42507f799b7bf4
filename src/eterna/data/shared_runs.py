"""Held-out examples that share a long run of words with a training example: quotations, excerpts, whole passages.

Source: the longest match of Singh et al., Evaluation data contamination in LLMs: how do we measure it and (when) does
it matter?, 2024 (ConTAM), with its n of 8 and no skipped words.

Shapes: words (n,) uint64 hashes; grams (n - 7,) uint64, one for each run of eight words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eterna.data.compared import WordArrays

GRAM = 8
SHORTEST_RUN = 12  # words, where the run is at least half of the held-out example
HALF = 0.5
LONG_RUN = 50  # words, whatever the example's length
# Measured between a random tenth and the rest of texts that nobody copied: 6,000 passages of English novels, 4,000 of
# Spanish ones and 2,029 turns of Calderón share at most 8 words; 904 synthetic conversations share greetings of up to
# 31 words, never more than 15 % of a conversation.
SET_PHRASE = 20  # places in the held-out data; a run of eight words that stands at more of them is a set phrase
BATCH_WORDS = 250_000


@dataclass(frozen=True)
class SharedRun:
    """The longest run of a held-out example that a training example holds too."""

    train: int
    held_out: int
    words: int
    share: float
    """Of the held-out example's words."""


@dataclass(frozen=True)
class SharedRuns:
    """What the two sides share."""

    longest: dict[int, SharedRun]
    """By held-out example: its longest run past the threshold, the first where several are as long."""
    train: frozenset[int]
    """All training examples with such a run."""


def find_shared_runs(words: WordArrays, train: Iterable[int], held_out: Iterable[int]) -> SharedRuns:
    """Runs of at least SHORTEST_RUN words that are half of the held-out example, or of at least LONG_RUN words.

    train, held_out: positions in `words`. Memory follows the held-out side; the training side passes by in batches.
    """
    index = _GramIndex(words, held_out)
    longest: dict[int, SharedRun] = {}
    marked: set[int] = set()
    for batch in _batches(words, train) if len(index.grams) else ():
        for first, second, length in index.runs_in(words, batch):
            share = length / len(words[second])
            if length < LONG_RUN and share < HALF:
                continue
            marked.add(first)
            if second not in longest or length > longest[second].words:
                longest[second] = SharedRun(first, second, length, share)
    return SharedRuns(longest, frozenset(marked))


def _grams(words: Any) -> Any:
    import numpy

    found: Any = numpy.zeros(max(0, len(words) - GRAM + 1), dtype=numpy.uint64)
    for step in range(GRAM if len(found) else 0):
        found = found * numpy.uint64(0x9E3779B97F4A7C15) + words[step : step + len(found)]
    return found


def _batches(words: WordArrays, numbers: Iterable[int]) -> Iterable[list[int]]:
    batch: list[int] = []
    size = 0
    for number in numbers:
        batch.append(number)
        size += len(words[number])
        if size >= BATCH_WORDS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _GramIndex:
    """Where each run of eight words of the held-out examples stands."""

    def __init__(self, words: WordArrays, numbers: Iterable[int]) -> None:
        import numpy

        found = [(number, _grams(words[number])) for number in numbers]
        none: Any = numpy.empty(0, dtype=numpy.int64)
        grams = numpy.concatenate([none.astype(numpy.uint64), *(gram for _, gram in found)])
        owners = numpy.concatenate([none, *(numpy.full(len(gram), number) for number, gram in found)])
        places = numpy.concatenate([none, *(numpy.arange(len(gram)) for _, gram in found)])
        order = numpy.argsort(grams, kind="stable")
        self.owners, self.places = owners[order], places[order]
        self.grams, self.starts, self.counts = numpy.unique(grams[order], return_index=True, return_counts=True)

    def runs_in(self, words: WordArrays, batch: list[int]) -> Iterable[tuple[int, int, int]]:
        """(training example, held-out example, words) of each shared run of at least SHORTEST_RUN words."""
        import numpy

        arrays = [words[number] for number in batch]
        ends: Any = numpy.cumsum([len(array) for array in arrays])
        here, entries = self._hits(numpy.concatenate(arrays), ends)
        owners, diagonals = self.owners[entries], here - self.places[entries]
        documents: Any = numpy.searchsorted(ends, here, side="right")
        # Along one diagonal of one pair of examples, neighbouring hits are one run.
        order = numpy.lexsort((here, diagonals, owners, documents))
        keys: Any = numpy.stack([documents, owners, diagonals, here])[:, order]
        keys[3] -= numpy.arange(len(here))
        broken = (numpy.diff(keys, axis=1) != 0).any(axis=0)
        begin: Any = numpy.flatnonzero(numpy.append(True, broken)[: len(here)])
        lengths = numpy.diff(numpy.r_[begin, len(here)]) + GRAM - 1
        for place, length in zip(order[begin], lengths, strict=True):
            if length >= SHORTEST_RUN:
                yield batch[documents[place]], int(owners[place]), int(length)

    def _hits(self, words: Any, ends: Any) -> tuple[Any, Any]:
        """Places in `words` where a gram of the index begins, and the index's entry; ends: where examples end."""
        import numpy

        grams = _grams(words)
        at: Any = numpy.minimum(numpy.searchsorted(self.grams, grams), len(self.grams) - 1)
        hits: Any = numpy.flatnonzero((self.grams[at] == grams) & (self.counts[at] <= SET_PHRASE))
        last = hits + GRAM - 1
        hits = hits[numpy.searchsorted(ends, hits, side="right") == numpy.searchsorted(ends, last, side="right")]
        counts = self.counts[at[hits]]
        within = numpy.arange(counts.sum()) - numpy.repeat(numpy.cumsum(counts) - counts, counts)
        return numpy.repeat(hits, counts), numpy.repeat(self.starts[at[hits]], counts) + within
