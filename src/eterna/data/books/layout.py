"""Lines to blocks to paragraphs: hard-wrapped prose is joined, verse keeps its lines.

A line break was meant where the next word would still have fitted the line. Prose has hardly any such break, verse
hardly any other; that tells them apart in any language, indented or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from eterna.data.books.marks import SOFT_HYPHEN

LONGEST_WRAPPED = 100  # characters; a file with longer lines holds a paragraph a line
NARROWEST = 60  # characters; no prose is wrapped to less, but verse is shorter
VERSE_WIDTH = 45  # characters; a block narrower than this is no quoted prose
SENTENCE_END = tuple(".!?…:\"'”’»)]_—")
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Block:
    """Lines without an empty one between them."""

    line: int
    """Number of the first line in the file, from 1."""
    lines: tuple[str, ...]
    """Indentation kept, nothing at the ends."""
    gap: int = 0
    """Empty lines before it."""

    @cached_property
    def text(self) -> str:
        """The lines joined by single blanks."""
        return " ".join(" ".join(self.lines).split())

    @property
    def words(self) -> int:
        """How many words it holds."""
        return len(WORD.findall(self.text))

    def part(self, start: int, stop: int | None = None) -> Block:
        """Some of its lines as a block of their own; only the first keeps the gap."""
        return Block(self.line + start, self.lines[start:stop], self.gap if start == 0 else 0)


@dataclass(frozen=True)
class Layout:
    """How a file is set."""

    width: int
    """Characters in a full line."""
    wrapped: bool
    """Whether paragraphs are broken into lines; otherwise each line is one."""
    dense: bool
    """Whether paragraphs follow each other without an empty line."""
    wide_gap: int
    """So many empty lines are more than what parts two paragraphs."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph in one line, or verse with its lines."""

    line: int
    text: str
    verse: bool


def split_blocks(lines: Iterable[tuple[int, str]]) -> list[Block]:
    """(number, text) of each line to blocks."""
    blocks: list[Block] = []
    held: list[str] = []
    first = gap = 0
    for number, line in lines:
        if line.strip():
            if not held:
                first = number
            held.append(line)
            continue
        if held:
            blocks.append(Block(first, tuple(held), gap))
            held, gap = [], 0
        gap += 1
    if held:
        blocks.append(Block(first, tuple(held), gap))
    return blocks


def measure(blocks: Sequence[Block]) -> Layout:
    """How the lines of a book are set."""
    lengths = sorted(len(line) for block in blocks for line in block.lines) or [0]
    wrapped = lengths[int(0.9 * (len(lengths) - 1))] <= LONGEST_WRAPPED
    per_block = len(lengths) / max(1, len(blocks))
    gaps = [block.gap for block in blocks[1:]]
    wide = next((size for size in range(2, 9) if sum(gap >= size for gap in gaps) <= 0.1 * len(gaps)), 9)
    width = max(NARROWEST, lengths[int(0.9 * (len(lengths) - 1))])
    return Layout(width, wrapped, per_block > (25 if wrapped else 3), wide)


def is_meant(line: str, following: str, width: int) -> bool:
    """Whether the break between two lines was meant: the next word would have fitted into `width`."""
    return len(line) + 1 + len(following.split(maxsplit=1)[0]) <= width - 1


def starts_upper(line: str) -> bool:
    """Whether the first letter is a capital, or an opening sign stands first."""
    first = line.lstrip()[:1]
    letter = next((sign for sign in line if sign.isalpha()), "")
    return letter.isupper() or first in "¿¡—"


def is_verse(lines: Sequence[str], layout: Layout) -> bool:
    """Whether a run of lines is verse (or an address, a signature, a list): its breaks were meant."""
    if len(lines) < 2:
        return False
    breaks = list(pairwise(line.strip() for line in lines))
    if sum(is_meant(*pair, layout.width) for pair in breaks) < 0.75 * len(breaks):
        return False
    own_width = max(len(line.strip()) for line in lines)
    ragged = sum(is_meant(*pair, own_width) for pair in breaks) >= 0.35 * len(breaks)
    capitals = sum(starts_upper(line) for _, line in breaks) >= 0.75 * len(breaks)
    return capitals or own_width <= VERSE_WIDTH or (ragged and own_width <= NARROWEST)


def paragraphs(block: Block, layout: Layout, vocabulary: frozenset[str]) -> list[Paragraph]:
    """What a block holds. `vocabulary` is the words of the book: it decides on hyphens at line ends."""
    if not layout.wrapped:
        return _of_long_lines(block, layout)
    found = []
    for piece in _dense_pieces(block, layout) if layout.dense else [block]:
        if is_verse(piece.lines, layout):
            found.append(Paragraph(piece.line, "\n".join(line.strip() for line in piece.lines), True))
        else:
            found.append(Paragraph(piece.line, _join(piece.lines, layout, vocabulary), False))
    return found


def _dense_pieces(block: Block, layout: Layout) -> list[Block]:
    """Paragraphs without empty lines: one begins at an indented line, or behind a sentence that left room."""
    margin = min(len(line) - len(line.lstrip()) for line in block.lines)
    starts = [0]
    for index, (line, following) in enumerate(pairwise(block.lines), start=1):
        indented = len(following) - len(following.lstrip()) > margin and len(line) - len(line.lstrip()) == margin
        if indented or (line.endswith(SENTENCE_END) and is_meant(line, following, layout.width)):
            starts.append(index)
    return [block.part(start, stop) for start, stop in pairwise([*starts, len(block.lines)])]


def _of_long_lines(block: Block, layout: Layout) -> list[Paragraph]:
    """Each line is a paragraph; short lines that stand together are verse, a list, a signature."""
    found: list[Paragraph] = []
    run: list[str] = []
    for number, line in [*enumerate(block.lines), (len(block.lines), "")]:
        if line and len(line) <= 80:
            run.append(line.strip())
            continue
        first = block.line + number - len(run)
        if len(run) > 1 and (not layout.dense or _reads_like_verse(run)):
            found.append(Paragraph(first, "\n".join(run), True))
        else:
            found += [Paragraph(first + offset, text, False) for offset, text in enumerate(run)]
        run = []
        if line:
            found.append(Paragraph(block.line + number, line.strip(), False))
    return found


def _reads_like_verse(run: Sequence[str]) -> bool:
    talk = any(line.startswith(tuple("\"'“‘«-–—")) for line in run)
    ends = sum(line.endswith(tuple('.!?”"')) for line in run)
    return len(run) > 2 and not talk and ends * 2 <= len(run) and all(map(starts_upper, run))


def _join(lines: Sequence[str], layout: Layout, vocabulary: frozenset[str]) -> str:
    """Wrapped lines as one; a break stays where it was plainly meant, as before a signature."""
    joined = lines[0].strip()
    for line, following in pairwise(lines):
        text = following.strip()
        if joined.endswith(SOFT_HYPHEN):
            joined = joined.rstrip(SOFT_HYPHEN) + text
        elif re.search(r"[^\W\d_]-$", joined) and text[0].isalpha():
            joined = _at_hyphen(joined, text, vocabulary)
        elif len(line) + 15 < layout.width and line.endswith((*SENTENCE_END, ",", ";")) and starts_upper(text):
            joined += "\n" + text
        else:
            joined += " " + text
    return joined


def _at_hyphen(line: str, following: str, vocabulary: frozenset[str]) -> str:
    """A hyphen at a line end: taken out if the book has the whole word, a dash if an aside is open, else kept."""
    left, right = WORD.findall(line)[-1].lower(), WORD.findall(following)[0].lower()
    if f"{left}-{right}" in vocabulary:
        return line + following
    if left + right in vocabulary:
        return line[:-1] + following
    is_aside = left in vocabulary and right in vocabulary and re.search(r"\s-[^\W\d_]", line)
    return f"{line} {following}" if is_aside else line + following


def vocabulary_of(lines: Iterable[str]) -> frozenset[str]:
    """Lower-case words of a book, compounds with hyphens too; none that a line end cuts."""
    words = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
    found: set[str] = set()
    for line in lines:
        cut = re.sub(r"[^\W\d_]+-$", "", line.lower())
        for word in words.findall(cut):
            found.add(word)
            found.update(word.split("-"))
    return frozenset(found)
