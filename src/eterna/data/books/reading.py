"""One book as plain text to its scenes: chapters found, front and back matter taken off and reported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from eterna.data.books.heading_lines import CHAPTER, SECTION, Heading, isolate
from eterna.data.books.headings import find_headings
from eterna.data.books.layout import Block, Layout, Paragraph, measure, paragraphs, split_blocks, vocabulary_of
from eterna.data.books.marks import Language, clean, language_of, tidy
from eterna.data.books.matter import (
    Removed,
    Taken,
    back_start,
    body_start,
    first_contents,
    licence_bounds,
    removed,
    take_contents,
    take_credits,
    title_of,
)
from eterna.errors import DataError, Place
from eterna.files import read_text
from eterna.text import plural

_BREAK = re.compile(r"\s*(?:(?:[*⁂•·~#+=_§oO—–-]\s*){3,}|[⁂*#§])\s*")
_PICTURE = re.compile(r"\[\s*(?:Illustrations?|Ilustraci[óo]n|Imagen|Transcriber['’]s note)\b[^\]]*\]|\[\s*\]", re.I)


@dataclass(frozen=True)
class BookScene:
    """Running text between two breaks."""

    chapter: int
    """From 1; 0 is text before the first heading."""
    number: int
    """In its chapter, from 1."""
    heading: str
    """Of the chapter, and of the section where it has one; empty in a book without headings."""
    kind: str
    """`prose`, `verse` or `mixed`, by what most of its lines are."""
    line: int
    """First line of its text in the file, from 1."""
    text: str
    """Paragraphs parted by an empty line, verse with a line each."""

    @property
    def name(self) -> str:
        """`chapter.scene`."""
        return f"{self.chapter}.{self.number}"


@dataclass(frozen=True)
class Book:
    """A book file, read."""

    path: Path
    title: str
    language: Language
    scenes: list[BookScene]
    front: list[Removed]
    """Licence, credits, title page, contents before the text."""
    back: list[Removed]
    """The same behind it."""
    inside: list[Removed]
    """Pictures and notices in the middle of the text."""

    @property
    def chapters(self) -> int:
        """How many headed chapters hold text; parts with a text of their own count too."""
        return len({scene.chapter for scene in self.scenes} - {0})

    def note(self) -> str:
        """What was read and what was taken off, in one line."""
        found = f"{self.path}: {plural(self.chapters, 'chapter')}, {plural(len(self.scenes), 'scene')}"
        for where, parts in (("front", self.front), ("back", self.back), ("inside", self.inside)):
            if parts:
                lines = plural(sum(part.lines for part in parts), "line")
                shown = "; ".join(map(str, parts[:4])) + (f"; and {len(parts) - 4} more" if len(parts) > 4 else "")
                found += f"; taken off {where}: {lines}: {shown}"
        return found


def read_book(path: Path) -> Book:
    """A public-domain book in a .txt or .md file, cut into chapters and scenes.

    Byte order mark, line ends, composed or decomposed accents and blanks at line ends make no difference to the result.
    Raises DataError for a file without text, UserError for one that is not UTF-8 (with the byte and what converts it).
    """
    lines = tidy(read_text(path)).split("\n")
    if path.suffix == ".md":
        lines = [re.sub(r"^(?:> ?)+", "", line) for line in lines]
    taken = Taken()
    blocks, layout = _body_blocks(lines, taken)
    if not blocks:
        raise DataError("the file holds no text of a book", Place(str(path), 1), "check what the file holds")
    language = language_of(" ".join(block.text for block in blocks))
    headings = find_headings(blocks, layout, taken.contents)
    stop = back_start(blocks, headings)
    start = _first_block(blocks, headings, taken)
    scenes = list(_SceneReader(blocks, headings, layout, language).scenes(start, stop))
    if start and not scenes:  # what looked like a title page is all there is
        start = 0
        scenes = list(_SceneReader(blocks, headings, layout, language).scenes(start, stop))
    if not scenes:
        raise DataError("no text is left between front and back matter", Place(str(path), 1), "use format: text")
    if start:
        taken.front.append(removed("title page", blocks[:start]))
    if stop < len(blocks):
        taken.back.append(removed("end matter", blocks[stop:]))
    title = taken.title or _title(blocks[:start]) or path.stem.replace("_", " ")
    front, back = (sorted(parts, key=lambda part: part.line) for parts in (taken.front, taken.back))
    return Book(path, title, language, scenes, front, back, taken.inside)


def _first_block(blocks: Sequence[Block], headings: dict[int, Heading], taken: Taken) -> int:
    """Index of the first block of the text. In markdown, a heading above all others is the title, and all is text."""
    if not any(heading.key[:1].isdigit() for heading in headings.values()):
        return body_start(blocks, headings, taken.contents_end)
    if 0 not in headings or headings[0].rank >= CHAPTER:
        return 0
    taken.title = taken.title or headings[0].text
    return 1


def _body_blocks(lines: list[str], taken: Taken) -> tuple[list[Block], Layout]:
    """The blocks of the text without licence, credits, pictures and contents."""
    start, end = licence_bounds(lines)
    front, back = split_blocks(enumerate(lines[:start], 1)), split_blocks(enumerate(lines[end:], end + 1))
    taken.title, what = title_of(lines[:start]), "licence"
    if lines[0] == "---" and "---" in lines[1:60]:
        start, what = lines.index("---", 1) + 1, "file header"
        front = split_blocks(enumerate(lines[:start], 1))
        taken.title = next((line[6:].strip(" \"'") for line in lines[1:start] if line.startswith("title:")), "")
    taken.front += [removed(what, front)] if front else []
    taken.back += [removed("licence", back)] if back else []
    numbered = list(_without_pictures(enumerate(lines[start:end], start + 1), taken))
    blocks = take_credits(split_blocks(numbered), taken)
    layout = measure(blocks)
    blocks = isolate(blocks, layout)
    headings = find_headings(blocks, layout, first_contents(blocks))
    return take_contents(blocks, headings, taken), layout


def _without_pictures(lines: Iterator[tuple[int, str]] | enumerate[str], taken: Taken) -> Iterator[tuple[int, str]]:
    """Lines with `[Illustration: ...]` and other notices in brackets taken out, which may run over several lines."""
    held: list[tuple[int, str]] = []
    after_picture = False  # the empty line behind it goes too, so that no wide gap is left
    for number, line in lines:
        if not held and not re.search(r"\[\s*(?:Illustra|Ilustra|Imagen|Transcriber|\])", line, re.I):
            if line or not after_picture:
                yield number, line
            after_picture = False
            continue
        held.append((number, line))
        text = "\n".join(one for _, one in held)
        if text.count("[") > text.count("]") and len(held) < 40:
            continue
        for match in _PICTURE.finditer(text):
            first = held[0][0] + text.count("\n", 0, match.start())
            what = "notice" if "ranscriber" in match[0] else "illustration"
            taken.inside.append(removed(what, [Block(first, tuple(match[0].split("\n")))]))
        rest = _PICTURE.sub(lambda match: "\n" * match[0].count("\n"), text)
        kept = [(held[0][0] + offset, one.rstrip()) for offset, one in enumerate(rest.split("\n")) if one.strip()]
        yield from kept
        after_picture = not kept
        held = []
    yield from held


def _title(front: Sequence[Block]) -> str:
    """The first line of a title page, with the next one where it is a mere article."""
    lines = [line.strip(" _.,;") for block in front for line in block.lines]
    if not lines:
        return ""
    return lines[0] if len(lines[0]) > 3 or len(lines) < 2 else f"{lines[0]} {lines[1]}"


class _SceneReader:
    """Walks over the blocks of the body and gathers what lies between headings and breaks."""

    def __init__(
        self, blocks: Sequence[Block], headings: dict[int, Heading], layout: Layout, language: Language
    ) -> None:
        self.blocks = blocks
        self.headings = headings
        self.layout = layout
        self.language = language
        self.vocabulary = vocabulary_of(line for block in blocks for line in block.lines)
        self.chapter = self.number = 0
        self.title = self.section = ""
        self.held: list[Paragraph] = []

    def scenes(self, start: int, stop: int) -> Iterator[BookScene]:
        """The scenes of the blocks from `start` to `stop`."""
        index = start
        while index < stop:
            if index in self.headings:
                yield from self._close()
                index = self._open(index, stop)
                continue
            block = self.blocks[index]
            if all(_BREAK.fullmatch(line) for line in block.lines):
                yield from self._close()
            else:
                found = paragraphs(block, self.layout, self.vocabulary)
                if self._is_gap(block, found):
                    yield from self._close()
                self.held += found
            index += 1
        yield from self._close()

    def _open(self, index: int, stop: int) -> int:
        """Begin the chapter or section of the headings at `index`; the index of the block behind them."""
        stack: list[Heading] = []
        while index < stop and index in self.headings:
            stack.append(self.headings[index])
            index += 1
        titles, sections = (
            " · ".join(one.text.strip(" -–—_.") for one in stack if (one.rank == SECTION) is below)
            for below in (False, True)
        )
        self.section = sections
        if titles:
            self.chapter, self.number, self.title = self.chapter + 1, 0, titles
        return index

    def _is_gap(self, block: Block, found: Sequence[Paragraph]) -> bool:
        """Whether the empty lines before a block part two scenes: more than usual, with prose on both sides."""
        if block.gap < self.layout.wide_gap or not self.held or not found:
            return False
        sides = (self.held[-1], found[0])
        return not any(side.verse or len(side.text.split()) < 8 for side in sides)

    def _close(self) -> Iterator[BookScene]:
        texts = [(one, clean(one.text, self.language)) for one in self.held]
        kept = [(one, text) for one, text in texts if text]
        self.held = []
        if not kept:
            return
        self.number += 1
        verse = sum(text.count("\n") + 1 for one, text in kept if one.verse)
        lines = sum(text.count("\n") + 1 for _, text in kept)
        kind = "verse" if verse > 0.8 * lines else "mixed" if verse > 0.2 * lines else "prose"
        heading = " · ".join(part for part in (self.title, self.section) if part)
        text = "\n\n".join(text for _, text in kept)
        yield BookScene(self.chapter, self.number, heading, kind, kept[0][0].line, text)
