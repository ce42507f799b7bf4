"""Lines that say by themselves that they are headings, and the blocks they are cut out into."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from eterna.data.books.layout import SENTENCE_END, Block, Layout
from eterna.data.books.numbers import ORDINAL, ROMAN, number_of

PART, CHAPTER, SECTION = range(3)  # ranks: a smaller one stands above

_RANKS = {
    PART: r"book|part|volume|vol\.|libro|parte|tomo|volumen|[ée]poca|period",
    CHAPTER: r"chapter|chap\.|cap[íi]tulo|cap\.|letter|carta|ep[íi]stola|stave|canto|act|acto|jornada|cuadro",
    SECTION: r"scene|escena|section|secci[óo]n",
}
_WORDS = "|".join(_RANKS.values())
_NUMBER = rf"(?:{ROMAN}|\d{{1,3}}|{ORDINAL})"
_NAMED = re.compile(rf"(?P<word>{_WORDS})\s+(?:the\s+|el\s+|la\s+)?(?P<number>{_NUMBER})(?!\w)(?P<rest>.*)", re.I)
_TURNED = re.compile(
    rf"(?P<article>the\s+|la\s+|el\s+)?(?P<number>{ORDINAL})\s+(?P<word>{_WORDS})(?!\w)(?P<rest>.*)", re.I
)
LONE = re.compile(r"[-–—\s]*(?P<number>[IVXLC]+|\d{1,3})\s*[.:)]?[-–—\s]*")
TITLED = re.compile(
    r"[-–—\s]*(?P<number>[IVXLC]+|\d{1,3})\s*(?:[-–—]+|[.:)])[-–—\s]*(?P<rest>[^\W_¿¡«\"“].*|[¿¡«\"“]\w.*)"
)
_NAMES = re.compile(
    r"(?:pr[óo]logo|prologue|ep[íi]logo|epilogue|preface|prefacio|introduction|introducci[óo]n|foreword|afterword|"
    r"conclusion|conclusi[óo]n|appendix|ap[ée]ndice|postscript|advertencia|al lector|to the reader|interlude|"
    r"(?:author'?s |nota del? )(?:note|autor|editor)|intermedio|proemio|pre[áa]mbulo|initial chapter|final chapter|"
    r"chapter the last|cap[íi]tulo (?:último|final))(?P<rest>(?: del autor| to [^.]{1,40})?\s*(?:[.:—-].*)?)",
    re.I,
)
CONTENTS = re.compile(r"\W*(?:table of )?contents\W*|\W*(?:[íi]ndice|tabla)(?: de (?:materias|cap[íi]tulos))?\W*", re.I)
MARKDOWN = re.compile(r"(?P<marks>#{1,6})\s+(?P<text>.*?)\s*#*")
OPENING_SIGNS = tuple("\"'“‘«»-–—―([*_")


@dataclass(frozen=True)
class Heading:
    """A block that is a heading."""

    text: str
    rank: int
    key: str = ""
    """Kind and number, such as `capítulo 3`, the same in a table of contents and in the body; empty without number."""


def strong_heading(line: str) -> Heading | None:
    """A line that says by itself that it is a heading: a word with a number, or a known name."""
    text = " ".join(line.split())
    if not text[:1].isupper() or len(text) > 350:
        return None
    if (named := _NAMES.fullmatch(text)) and len(text) <= 120:
        return Heading(text, CHAPTER, text.split(named["rest"] or "\0")[0].strip(" .:").lower())
    match = _NAMED.fullmatch(text) or _TURNED.fullmatch(text)
    if not match or not _may_follow(match["rest"], turned=match.re is _TURNED and not match["article"]):
        return None
    word = match["word"].lower()
    rank = next(rank for rank, words in _RANKS.items() if re.fullmatch(words, word))
    return Heading(text, rank, f"{word} {number_of(match['number'])}")


def _may_follow(rest: str, turned: bool) -> bool:
    """Whether `rest` can follow `Chapter 3` in a heading: nothing, a mark, or a title that begins like one."""
    text = rest.strip()
    if not text or text[0] in ".:-–—,;)]":
        return not re.match(r"[,;-]\s*[a-zà-ÿ]", text)
    if turned and re.match(r"(?:de|del|of)\s", text):
        return not text.endswith(SENTENCE_END)
    return rest[0].isspace() and (text[0].isupper() or text[0] in "¿¡«“\"'‘(")


def is_capitals(line: str) -> bool:
    """Whether a line is set in capitals: three letters at least, none small but in `Mc`, no talk, not too long."""
    if len(line) > 120:
        return False
    letters = [sign for sign in line if sign.isalpha()]
    small = re.sub(r"(?<=\bM)c(?=[A-Z])|(?<=[’'])s\b", "", line)
    shape = (
        len(letters) >= 3
        and len(line) <= 120
        and max(map(len, line.split())) <= 30
        and not line.strip().startswith(OPENING_SIGNS)
    )
    return shape and not any(sign.islower() for sign in small)


def isolate(blocks: Sequence[Block], layout: Layout) -> list[Block]:
    """Headings that share a block with text, put in blocks of their own."""
    found: list[Block] = []
    for block in blocks:
        start = 0
        for index in range(len(block.lines)):
            if index < start or not _begins_heading(block.lines, index, layout):
                continue
            if index > start:
                found.append(block.part(start, index))
            stop = index + _heading_lines(block.lines[index:], layout)
            found.append(block.part(index, stop))
            start = stop
        if start < len(block.lines):
            found.append(block.part(start))
    return found


def _begins_heading(lines: Sequence[str], index: int, layout: Layout) -> bool:
    """Whether a line of a block is a heading by itself; inside a block it must stand behind a finished line."""
    line = lines[index]
    is_last = index == len(lines) - 1
    if index == 0 and CONTENTS.fullmatch(line):
        return True
    strong = bool(strong_heading(line) or MARKDOWN.fullmatch(line))
    if index == 0:
        return strong or (layout.dense and _is_lone(line))
    before = lines[index - 1]
    if not (before.endswith(SENTENCE_END) or len(before) < 0.7 * layout.width or is_capitals(before)):
        return False
    if layout.dense:
        return strong or _is_lone(line)
    return is_last and len(line) < 0.9 * layout.width and (strong or (_is_lone(line) and is_capitals(before)))


def _is_lone(line: str) -> bool:
    return bool(LONE.fullmatch(line.strip()))


def _heading_lines(lines: Sequence[str], layout: Layout) -> int:
    """How many lines belong to the heading that the first one begins."""
    if CONTENTS.fullmatch(lines[0]):
        return 1
    count = 1
    while count < len(lines) and is_capitals(lines[count]) and not strong_heading(lines[count]):
        count += 1
    has_title = not _is_lone(lines[0]) and len(lines[0].split()) > 2
    if count == 1 and layout.wrapped and not layout.dense and 2 <= len(lines) <= 3:
        total = sum(map(len, lines))
        if (has_title and total < 250) or (len(lines) == 2 and reads_like_title(lines[1].strip())):
            return len(lines)
    return count


def reads_like_title(text: str, longest: int = 90) -> bool:
    """Short, begins like a title, does not end like a sentence."""
    begins = bool(text) and (text[0].isupper() or text[0] in "¿¡" or text[0].isdigit())
    return (
        begins
        and len(text) <= longest
        and max(map(len, text.split())) <= 30
        and not text.endswith(tuple('.…:;,?!"”»-—'))
    )
