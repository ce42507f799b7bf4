"""What stands in a public-domain file but is no part of the book: licence, credits, title page, contents, notices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eterna.data.books.heading_lines import CHAPTER, CONTENTS, Heading, strong_heading
from eterna.data.books.headings import plain
from eterna.data.books.layout import WORD, Block
from eterna.text import plural

TITLE_PAGE_WORDS = 80  # a title page has fewer words than this before the first plain heading
TITLE_PAGE_BLOCKS = 80
FRONT_WORDS = 400  # the same, before a table of contents
EDGE_BLOCKS = 60  # credits stand at most so far from either end
_START = re.compile(r"\s*\*{3}\s*START OF (?:THE|THIS) PROJECT GUTENBERG", re.I)
_OLD_START = re.compile(r".*\*END\*?\s*THE SMALL PRINT", re.I)  # in files of the 1990s the licence stands in front
_END = re.compile(
    r"\s*(?:\*{3}\s*END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?:the |this )?Project Gutenberg|"
    r"\*{3}\s*START: FULL LICENSE|Fin (?:de|del) (?:la obra |libro )?(?:de )?Project Gutenberg)",
    re.I,
)
_CREDIT = re.compile(
    r"\W*(?:produced by|e-?text prepared|this (?:e-?text|e-?book|file) was|transcribed (?:from|by)|scanned by|"
    r"html version|digiti[sz]ed by|(?:the )?online distributed proof|updated editions|transcriber['’]?s? note|"
    r"nota del? (?:transcriptor|transcripci[óo]n|editor digital)|(?:nota preliminar: )?edici[óo]n digital|"
    r"note: (?:project|images)|release date|\[?e-?(?:book|text) #|obtenido de|categor[íi]as?:|retrieved from|"
    r"esta obra (?:est[áa]|se encuentra) en (?:el )?dominio p[úu]blico|this work is in the public domain|"
    r"original publication date|http|www\.|character set encoding)",
    re.I,
)
_TITLE_LINE = re.compile(r"\s*(?:Title|Título):\s*(.+)")
_THE_END = re.compile(r"\W*(?:the end|finis|fin|end)(?: (?:of|de|del) [\w ]{1,60})?\W*", re.I)
_TALK = tuple("-–—―\"'“‘«¡¿.")
_SENTENCE = tuple(".!?…”\"»’'—:")


@dataclass(frozen=True)
class Removed:
    """Lines taken off a book."""

    what: str
    """`licence`, `credits`, `title page`, `contents`, `end matter`, `illustration`, `notice`."""
    line: int
    """Where it begins, from 1."""
    lines: int
    words: int
    first: str
    """Its first words."""

    def __str__(self) -> str:
        return f"{self.what} (line {self.line}, {plural(self.lines, 'line')}: {self.first})"


def removed(what: str, blocks: Sequence[Block]) -> Removed:
    """A record of blocks taken off; lines are counted without empty ones."""
    text = " ".join(block.text for block in blocks)
    first = " ".join(text.split()[:8])
    return Removed(what, blocks[0].line, sum(len(block.lines) for block in blocks), len(WORD.findall(text)), first)


@dataclass
class Taken:
    """What was taken off, by place."""

    front: list[Removed] = field(default_factory=list)
    back: list[Removed] = field(default_factory=list)
    inside: list[Removed] = field(default_factory=list)
    contents: str = ""
    """Text of the table of contents."""
    contents_end: int = 0
    """Line of the first block behind a table of contents at the front; 0 without one."""
    title: str = ""


def licence_bounds(lines: Sequence[str]) -> tuple[int, int]:
    """Indices of the first line behind Project Gutenberg's header and of the first line of its footer."""
    start = next((index + 1 for index, line in enumerate(lines) if _START.match(line)), 0)
    if start:  # the line may run over several
        ends = [index for index in range(start - 1, min(start + 3, len(lines))) if lines[index].endswith("***")]
        start = ends[0] + 1 if ends else start
    else:
        old = [index for index, line in enumerate(lines[: len(lines) // 2]) if _OLD_START.match(line)]
        start = old[-1] + 1 if old else 0
    end = next((index for index in range(start, len(lines)) if _END.match(lines[index])), len(lines))
    return start, end


def title_of(lines: Sequence[str]) -> str:
    """The title that a licence header names; empty where it names none."""
    return next((match[1].strip() for line in lines if (match := _TITLE_LINE.match(line))), "")


def take_credits(blocks: list[Block], taken: Taken) -> list[Block]:
    """Without the notices of those who made the file, near both ends, and of Project Gutenberg, anywhere."""
    kept: list[Block] = []
    for index, block in enumerate(blocks):
        at_front, at_back = index < EDGE_BLOCKS, index >= len(blocks) - EDGE_BLOCKS
        is_credit = (at_front or at_back) and bool(_CREDIT.match(block.text)) and len(block.text) < 2500
        if not (is_credit or re.search(r"project gutenberg|gutenberg\.(?:org|net)", block.text, re.I)):
            kept.append(block)
            continue
        near_front = index < len(blocks) / 2
        (taken.front if near_front else taken.back).append(removed("credits", [block]))
    return kept


def first_contents(blocks: Sequence[Block]) -> str:
    """The line under a heading `Contents`: some files hold all entries in it."""
    at = next((index for index, block in enumerate(blocks[:-1]) if CONTENTS.fullmatch(block.lines[0])), None)
    return "" if at is None else blocks[at + 1].text


def take_contents(blocks: list[Block], headings: Mapping[int, Heading], taken: Taken) -> list[Block]:
    """Without tables of contents: at the front up to the first heading that comes again, at the back to the end.

    Elsewhere, and where the word stands at every chapter, it is a link that a page left behind.
    """
    at = [index for index, block in enumerate(blocks) if CONTENTS.fullmatch(block.lines[0])]
    if len(at) > 2:
        taken.inside.append(removed("links to the contents", [blocks[index] for index in at]))
        return [block for index, block in enumerate(blocks) if index not in set(at)]
    gone: set[int] = set()
    for index in at:
        if index in gone:
            continue
        stop, is_back = index + 1, index > 0.8 * len(blocks)
        if is_back:
            stop = _back_contents_end(blocks, index)
        elif index < max(EDGE_BLOCKS, 0.15 * len(blocks)):
            stop = _contents_end(blocks, headings, index)
            taken.contents_end = blocks[stop].line if stop < len(blocks) else 0
        (taken.back if is_back else taken.front).append(removed("contents", blocks[index:stop]))
        taken.contents += " ".join(one.text for one in blocks[index:stop])
        gone.update(range(index, stop))
    return [block for index, block in enumerate(blocks) if index not in gone]


def _back_contents_end(blocks: Sequence[Block], index: int) -> int:
    stop = index + 1
    while stop < len(blocks) and not _is_text(blocks[stop]):
        stop += 1
    return stop if stop == len(blocks) else index + 1


def _contents_end(blocks: Sequence[Block], headings: Mapping[int, Heading], index: int) -> int:
    """Index of the block behind a table of contents that begins at `index`."""
    for place, block in enumerate(blocks[index + 1 : index + 400], start=index + 1):
        for key in _entry_keys(block):
            again = [near for near in range(place + 1, len(blocks)) if near in headings and headings[near].key == key]
            if again:
                return _stack_start(headings, again[0])
    first = index + 1
    if first < len(blocks) and (blocks[first].words >= 30 or len(blocks[first].lines) > 4):
        first += 1
    text = next((near for near in range(first, len(blocks)) if _is_text(blocks[near])), len(blocks))
    entries = [plain(line) for block in blocks[index + 1 : first] for line in block.lines]
    for near in range(first, text):
        title = plain(blocks[near].text)
        if title in entries or (first > index + 1 and title in entries[0]):
            return _stack_start(headings, near) if near in headings else near
        entries.append(title)
    if text == len(blocks):
        return first
    heads = [near for near in range(first, text + 1) if near in headings]
    return _stack_start(headings, heads[-1]) if heads else text


def _entry_keys(block: Block) -> list[str]:
    return [heading.key for line in block.lines if (heading := strong_heading(line.strip())) and heading.key]


def _stack_start(headings: Mapping[int, Heading], index: int) -> int:
    """First of the headings that stand together with the one at `index`: each kind once, parts above chapters."""
    here = headings[index]
    kinds, rank, titles = {_kind(here)} - {""}, here.rank if here.key else 9, int(not here.key)
    while index - 1 in headings:
        above = headings[index - 1]
        by_number = "number" in _kind(above) + _kind(headings[index])
        if above.key and (_kind(above) in kinds or above.rank > rank or (above.rank == rank and not by_number)):
            break
        if not above.key and (titles >= 2 or not _is_part_title(headings, index)):
            break
        index -= 1
        titles += not above.key
        if above.key:
            kinds.add(_kind(above))
            rank = min(rank, above.rank)
    return index


def _is_part_title(headings: Mapping[int, Heading], index: int) -> bool:
    """Whether the line without number above the heading at `index` is a title of it, not of the book or its author."""
    above = headings[index - 1]
    if re.match(r"(?:by|por|de)\b", above.text, re.I):
        return False
    between = index - 2 in headings and bool(headings[index - 2].key)
    return between or not headings[index].key or _kind(headings[index]).startswith("number")


def _kind(heading: Heading) -> str:
    return heading.key.split(" ", 1)[0]


def _is_text(block: Block) -> bool:
    """Whether a block reads like a paragraph of prose."""
    return block.words >= 30 and block.text.endswith(_SENTENCE)


def body_start(blocks: Sequence[Block], headings: Mapping[int, Heading], contents_end: int) -> int:
    """Index of the first block of the book itself; what stands before it is the title page."""
    plain_ones = [index for index in sorted(headings) if headings[index].key]
    named = plain_ones[0] if plain_ones else None
    behind = next((index for index, block in enumerate(blocks) if contents_end and block.line >= contents_end), None)
    if behind is not None and (named is None or named >= behind) and _words(blocks[:behind]) < FRONT_WORDS:
        return behind
    text = next(
        (
            at
            for at in range(len(blocks))
            if _is_text(blocks[at]) or _is_sentences(blocks[at : at + 2]) or _is_opening(blocks, headings, at)
        ),
        len(blocks),
    )
    if named is not None and text < named:
        pages = _words(blocks[:named]) < TITLE_PAGE_WORDS
        if pages and not any(_is_sentences(blocks[at : at + 2]) for at in range(named - 1)):
            return _stack_start(headings, named)
    if text > TITLE_PAGE_BLOCKS:
        return _stack_start(headings, named) if named is not None and named <= TITLE_PAGE_BLOCKS else 0
    heads = [index for index in range(min(text + 1, len(blocks))) if index in headings]
    numbered = [index for index in heads if headings[index].key and headings[index].rank >= CHAPTER]
    if heads:
        return _stack_start(headings, (numbered or heads)[-1])
    if text == len(blocks):
        return 0
    start = 0
    while start < text and _is_title_line(blocks[start]):
        start += 1
    return start


def _words(blocks: Sequence[Block]) -> int:
    return sum(block.words for block in blocks)


def _is_title_line(block: Block) -> bool:
    return block.words <= 12 and not block.text.endswith(tuple(",;:!?…")) and not block.text.startswith(_TALK)


def _is_opening(blocks: Sequence[Block], headings: Mapping[int, Heading], at: int) -> bool:
    """Whether a short paragraph stands right under a plain heading."""
    under = at - 1 in headings and bool(headings[at - 1].key) and at not in headings
    return under and blocks[at].words >= 8 and blocks[at].text.endswith(_SENTENCE)


def _is_sentences(blocks: Sequence[Block]) -> bool:
    return len(blocks) == 2 and all(block.words >= 12 and block.text.endswith(_SENTENCE) for block in blocks)


def back_start(blocks: Sequence[Block], headings: Mapping[int, Heading]) -> int:
    """Index behind the last block of the book: `The End` in its last tenth closes it, unless a chapter follows."""
    for index in range(len(blocks) - 1, max(0, int(0.9 * len(blocks)) - 1), -1):
        block = blocks[index]
        if index in headings and headings[index].key:
            break
        if len(block.lines) == 1 and len(block.text) < 70 and _THE_END.fullmatch(block.text):
            return index
    return len(blocks)
