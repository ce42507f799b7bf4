"""MinHash sketches of word sets, and the pairs of examples whose sketches meet: candidates for near copies.

Source: Broder, On the resemblance and containment of documents, 1997; banding: Leskovec, Rajaraman and Ullman, Mining
of Massive Datasets, chapter 3. The hash family is multiply-add-shift on 64 bits (Dietzfelbinger et al., 1997). A table
of band keys sorted band by band finds the same pairs in memory and on disk. datasketch keeps its index in Python
dictionaries or on a server, and its import alone takes longer than all this on a small data set.

Shapes: shingles (n,) uint64, keys (BANDS, examples) uint64.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

BANDS, ROWS = 32, 4
# Two sets of likeness J meet in a band with probability 1 - (1 - J^4)^32: 0.87 at 0.5, 0.99 at 0.6, 0.05 at 0.2.
NEIGHBOURS = 16
# In a crowded band an example is compared with its 16 predecessors and the first 16: a true copy meets its original in
# most of the other bands as well, and a set phrase that fills one band does not cost the square of its crowd.
CHUNK = 4096  # shingles hashed at once: 4 MiB


def shingles(words: Any) -> Any:
    """(n,) distinct pairs of neighbouring words, sorted; of a single word the word itself. words: (n,) uint64."""
    import numpy

    if len(words) < 2:
        return words
    return numpy.unique(_mixed(words[:-1] * numpy.uint64(0x9E3779B97F4A7C15) + words[1:]))


def _mixed(values: Any) -> Any:
    """Bits spread evenly over the word, by the finalizer of SplitMix64; overflow is meant."""
    import numpy

    values = (values ^ (values >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return values ^ (values >> numpy.uint64(31))


class Sketches:
    """Band keys of up to `room` examples, in memory, or in a file of a temporary folder that goes with it."""

    def __init__(self, room: int, on_disk: bool) -> None:
        import numpy

        draw, hashes = numpy.random.default_rng(1), (BANDS * ROWS, 1)
        self.factors = draw.integers(0, 2**63, hashes, dtype=numpy.uint64) * numpy.uint64(2) + numpy.uint64(1)
        self.offsets = draw.integers(0, 2**63, hashes, dtype=numpy.uint64)
        self.powers = draw.integers(0, 2**63, (1, ROWS), dtype=numpy.uint64) * numpy.uint64(2) + numpy.uint64(1)
        self.numbers: list[int] = []
        self.keys: Any
        self.folder = tempfile.TemporaryDirectory(prefix="eterna-sketches-") if on_disk else None
        if self.folder:
            path = Path(self.folder.name) / "keys"
            self.keys = numpy.memmap(path, dtype=numpy.uint64, mode="w+", shape=(BANDS, room))
        else:
            self.keys = numpy.empty((BANDS, room), dtype=numpy.uint64)

    def __enter__(self) -> Sketches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self.keys
        if self.folder:
            self.folder.cleanup()

    def add(self, number: int, found: Any) -> None:
        """Sketch one example. number: its position, higher than all before; found: its shingles, not empty."""
        import numpy

        parts = [
            (self.factors * found[None, start : start + CHUNK] + self.offsets).min(axis=1)
            for start in range(0, len(found), CHUNK)
        ]
        lowest = numpy.min(parts, axis=0) >> numpy.uint64(32)  # the high half is the evenly spread one
        self.keys[:, len(self.numbers)] = _mixed((lowest.reshape(BANDS, ROWS) * self.powers).sum(axis=1))
        self.numbers.append(number)

    def candidates(self) -> Any:
        """(pairs, 2) positions of examples that meet in some band, the earlier first; each pair once, sorted."""
        import numpy

        codes: Any = numpy.empty(0, dtype=numpy.uint64)
        for band in range(BANDS):
            codes = numpy.union1d(codes, _meetings(numpy.array(self.keys[band, : len(self.numbers)])))
        pairs = numpy.stack([codes >> numpy.uint64(32), codes & numpy.uint64(2**32 - 1)], axis=1).astype(numpy.int64)
        return numpy.array(self.numbers, dtype=numpy.int64)[pairs]


def _meetings(keys: Any) -> Any:
    """Codes first * 2^32 + second of the rows with equal keys, each row with at most 2 * NEIGHBOURS others."""
    import numpy

    order: Any = numpy.argsort(keys, kind="stable").astype(numpy.uint64)
    ranked = keys[order]
    fresh: Any = numpy.ones(len(keys), dtype=bool)
    fresh[1:] = ranked[1:] != ranked[:-1]
    starts = numpy.maximum.accumulate(numpy.where(fresh, numpy.arange(len(keys)), 0))  # where each row's crowd begins
    places: Any = numpy.flatnonzero(~fresh)
    if not len(places):
        return numpy.empty(0, dtype=numpy.uint64)
    lefts, rights = [], []
    for step in range(1, NEIGHBOURS + 1):
        places = places[places - step >= starts[places]]  # what has no such neighbour has no farther one either
        lefts.append(places - step)
        rights.append(places)
    for step in range(NEIGHBOURS):
        far = places[starts[places] + step < places - NEIGHBOURS]
        lefts.append(starts[far] + step)
        rights.append(far)
    return (order[numpy.concatenate(lefts)] << numpy.uint64(32)) + order[numpy.concatenate(rights)]
