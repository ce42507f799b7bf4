"""Headings of chapters and parts in a plain text book, in English and Spanish.

Three kinds, from plain to doubtful: markdown marks; a word with a number (Chapter 3, CAPÍTULO PRIMERO, Jornada II),
a lone number (`IV.`, `- II -`, `I. The Door`) that fits the sequence of its neighbours, a known name (Prologue, Al
lector); and lines that are only set like a heading (capitals, a wide gap), which need a second sign, because people
shout and read signs aloud in novels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from eterna.data.books.heading_lines import (
    CHAPTER,
    LONE,
    MARKDOWN,
    OPENING_SIGNS,
    PART,
    SECTION,
    TITLED,
    Heading,
    is_capitals,
    reads_like_title,
    strong_heading,
)
from eterna.data.books.layout import Block, Layout
from eterna.data.books.numbers import number_of

_DATE = re.compile(
    r"\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|lunes|martes|mi[ée]rcoles|jueves|viernes|s[áa]bado|domingo|"
    r"(?:jan|febr)uary|march|april|may|june|july|august|(?:sept|nov|dec)ember|october|enero|febrero|marzo|abril|mayo|"
    r"junio|julio|agosto|septiembre|octubre|noviembre|diciembre)\b[ ,]*(?:\d|de \d|\W*$)|\b1[5-9]\d\d\b",
    re.I,
)
_PLAY = re.compile(r"acto? |jornada |scene |escena ")  # its speakers and stage directions are set like headings


def find_headings(blocks: Sequence[Block], layout: Layout, contents: str = "") -> dict[int, Heading]:
    """Index of a block to its heading. `contents` is the text of the table of contents, which vouches for titles."""
    if marked := _markdown(blocks):
        return marked
    found = {index: heading for index, block in enumerate(blocks) if (heading := _strong(block, layout))}
    found |= _numerals(blocks, layout, found)
    if not any(_PLAY.match(heading.key) for heading in found.values()):
        found |= _set_apart(blocks, layout, found, contents)
        found |= _subtitles(blocks, layout, found)
    return _ranked(found)


def _markdown(blocks: Sequence[Block]) -> dict[int, Heading]:
    """Headings marked by `#`: the highest level that stands twice is that of chapters."""
    matches = {index: match for index, block in enumerate(blocks) if (match := MARKDOWN.fullmatch(block.lines[0]))}
    levels = Counter(len(match["marks"]) for match in matches.values())
    chapters = min((level for level, count in levels.items() if count > 1), default=min(levels, default=0))
    found = {}
    for index, match in matches.items():
        level = len(match["marks"])
        rank = PART if level < chapters else CHAPTER if level == chapters else SECTION
        found[index] = Heading(match["text"], rank, f"{level} {match['text']}".lower())
    return found


def _strong(block: Block, layout: Layout) -> Heading | None:
    if len(block.lines) > 4 or (len(block.lines) > 1 and not layout.wrapped and not is_capitals(block.lines[-1])):
        return None
    first = strong_heading(block.lines[0])
    talks = block.text.endswith(tuple("!?”\"'")) and len(block.text) > 60 and not is_capitals(block.lines[0])
    if not first or (talks and not re.search(r"[.:—]\s", block.text)):
        return None
    return replace(first, text=block.text)


def _numerals(blocks: Sequence[Block], layout: Layout, known: dict[int, Heading]) -> dict[int, Heading]:
    """Lone numbers, and numbers with a title, that count on; where a book has both, those that begin anew are below."""
    runs: dict[str, dict[int, int | None]] = {"number-roman": {}, "number-digits": {}, "number-titled": {}}
    for index, block in enumerate(blocks):
        text = block.text
        if index in known or len(block.lines) > 2 or len(text) > 130:
            continue
        if match := LONE.fullmatch(text):
            runs["number-digits" if match["number"].isdigit() else "number-roman"][index] = number_of(match["number"])
        elif match := TITLED.fullmatch(text):
            runs["number-titled"][index] = number_of(match["number"])
    apart = {index for index, block in enumerate(blocks) if block.gap >= layout.wide_gap and not layout.dense}
    counted = {kind: run for kind, numbers in runs.items() if (run := _counting(numbers, known, apart))}
    starts = {kind: sum(number == 1 for number in run.values()) for kind, run in counted.items()}
    return {
        index: Heading(
            blocks[index].text, CHAPTER if starts[kind] <= min(starts.values()) else SECTION, f"{kind} {number}"
        )
        for kind, run in counted.items()
        for index, number in run.items()
    }


def _counting(numbers: dict[int, int | None], known: dict[int, Heading], apart: set[int]) -> dict[int, int]:
    """Those of the numbers that follow the last one, or begin anew at 1 with more to come, or are set `apart`."""
    candidates = [(index, number) for index, number in numbers.items() if number]
    found: dict[int, int] = {}
    last = 0
    for place, (index, number) in enumerate(candidates):
        after = next((one for _, one in candidates[place + 1 :] if one in (1, 2)), 0)
        starts = number == 1 and (after == 2 or index - 1 in known)
        if starts or last < number <= last + 2 or index in apart:
            found[index] = last = number
    return found if len(found) > 1 else {}


def _set_apart(blocks: Sequence[Block], layout: Layout, known: dict[int, Heading], contents: str) -> dict[int, Heading]:
    """Lines set like a heading that have a second sign beside it: a wide gap, the contents, a numbered one next."""
    times = Counter(block.text for block in blocks)
    listed = plain(contents)
    named = sum(not heading.key.startswith("number") for heading in known.values())
    found: dict[int, Heading] = {}
    for index, block in enumerate(blocks):
        text = block.text
        if index in known or len(block.lines) > 3 or times[text] > 2 or not (text[0].isupper() or text[0] in "¿¡"):
            continue
        after = blocks[index + 1].gap if index + 1 < len(blocks) else 0
        if block.gap < layout.wide_gap <= after or _DATE.search(text):
            continue  # a signature, nearer to what stands before it; or the head of a letter
        capitals = is_capitals(text)
        wide = block.gap >= layout.wide_gap and index > 0 and not layout.dense
        if capitals and (
            wide
            or plain(text) in listed
            or any(near in known and known[near].key.endswith(" 1") for near in range(index + 1, index + 4))
            or (named < 3 and not contents and _stands_alone(blocks, index))
        ):
            found[index] = Heading(text.rstrip("."), CHAPTER)
        elif len(block.lines) == 1 and reads_like_title(text) and (wide or plain(text) in listed) and len(text) > 3:
            found[index] = Heading(text, CHAPTER)
    return found


def plain(text: str) -> str:
    """Words without case and signs, for comparing titles."""
    return " ".join(re.findall(r"\w+", text.casefold())) or "\0"


def _stands_alone(blocks: Sequence[Block], index: int) -> bool:
    """Whether a line in capitals is no sign, shout or signature: one sentence ends before it, one begins after."""
    text = blocks[index].text
    if text.endswith(tuple(".!?,:;")) or not 0 < index < len(blocks) - 1:
        return False
    before, after = blocks[index - 1].text, blocks[index + 1].text
    ends = before.endswith(tuple(".!?…”\"'’_*")) and not is_capitals(before)
    return ends and not is_capitals(after) and not after[0].islower() and len(re.findall(r"[^\W\d_]{2,}", text)) > 1


def _subtitles(blocks: Sequence[Block], layout: Layout, known: dict[int, Heading]) -> dict[int, Heading]:
    """Titles that stand in a block of their own right under a heading."""
    found: dict[int, Heading] = {}
    for index in range(len(blocks) - 1):
        block, text = blocks[index], blocks[index].text
        if index in known or index - 1 not in known or index + 1 in known or index - 1 in found:
            continue
        bare = len(known[index - 1].text.split()) <= 3
        titled = bare and (is_capitals(text) or (block.gap > 0 and reads_like_title(text) and not _opens_text(text)))
        if len(block.lines) <= 3 and (titled or _is_summary(block, blocks[index + 1], layout)):
            found[index] = Heading(text, CHAPTER)
    return found


def _opens_text(text: str) -> bool:
    """Whether only the first word is in capitals, as printers begin a chapter."""
    first, *rest = text.split()
    return len(first) > 1 and is_capitals(first + "XX") and bool(rest) and not is_capitals(" ".join(rest) + "XXX")


def _is_summary(block: Block, after: Block, layout: Layout) -> bool:
    """Whether a block tells what a chapter holds: `Donde se cuenta ...`, set apart like the heading above it."""
    text = block.text
    apart = not layout.wrapped and not layout.dense and after.gap < layout.wide_gap <= block.gap
    sentences = len(re.findall(r"[.!?…]\s+[\w¿¡]", text))
    return apart and len(text) <= 300 and not (text.startswith(OPENING_SIGNS) or _opens_text(text) or sentences)


def _ranked(found: dict[int, Heading]) -> dict[int, Heading]:
    """Lone numbers under chapters are sections of them."""
    ordered = sorted(found.items())
    chapters = sum(bool(re.match(r"(?!number-)\S+ \d", one.key)) and one.rank == CHAPTER for _, one in ordered)
    firsts = [place for place, (_, one) in enumerate(ordered) if re.fullmatch(r"number-\w+ 1", one.key)]
    under = sum(place > 0 and _is_title(ordered, place) for place in firsts)
    if chapters < 2 and not (len(firsts) > 1 and under >= 0.8 * len(firsts)):
        return dict(ordered)
    return {index: replace(one, rank=SECTION) if one.key.startswith("number") else one for index, one in ordered}


def _is_title(ordered: Sequence[tuple[int, Heading]], place: int) -> bool:
    """Whether a title without number, that is not a part's, stands shortly before the heading at `place`."""
    (index, _), (before, heading) = ordered[place], ordered[place - 1]
    of_part = (
        place > 1 and ordered[place - 2] == (before - 1, ordered[place - 2][1]) and ordered[place - 2][1].rank == PART
    )
    return heading.rank == CHAPTER and not heading.key and index - before <= 3 and not of_part
