"""Find the conversations in a novel: who speaks, what is said, what is told in between.

Two people take turns; a novel names them now and then ("said Alice", "—dijo Sancho"). A run of spoken paragraphs is
kept only where those namings fit taking turns, so that nobody gets another's words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

LONGEST_ASIDE = 70  # words of narration between two speeches, and before the first
FEWEST_SPEECHES = 4
SURE = 0.6  # of the namings of one side must be the same
LONGEST_TALK = 14  # speeches; a longer run is cut

_SAID = (
    "said|asked|replied|answered|cried|returned|exclaimed|murmured|whispered|continued|added|observed|remarked|"
    "repeated|began|called|declared|demanded|inquired|enquired|protested|retorted|suggested|interrupted|rejoined|"
    "shouted|sighed|responded|muttered|pleaded|went on|put in|broke in"
)
_DIJO = (
    "dijo|preguntó|respondió|contestó|replicó|exclamó|repuso|añadió|murmuró|gritó|prosiguió|continuó|repitió|"
    "balbuceó|interrumpió|observó|insistió|balbució|objetó|decía|preguntaba|respondía|contestaba"
)
_TITLE_EN = r"(?:(?:Mr|Mrs|Dr|Miss|Lady|Lord|Sir|Captain|Aunt|Uncle|Madame|Major|Colonel|Father|Sister)\.?\s)"
_TITLE_ES = (
    r"(?:(?:el|la)\s(?:se[ñn]or[a]?|conde|condesa|padre|rey|reina|marqu[ée]s|duque|capit[áa]n|doctor)\s)?(?:de\s)?"
)
_HONOUR_ES = r"(?:[Dd]on|[Dd]oña|D\.|Doña)\s"
_NAME_EN = rf"({_TITLE_EN}?[A-Z][a-z]{{2,}}(?:\s[A-Z][a-z]{{2,}})?)"
_NAME_ES = rf"{_TITLE_ES}((?:{_HONOUR_ES})?[A-ZÁÉÍÓÚÑ][a-záéíóúüñ]{{2,}}(?:\s[A-ZÁÉÍÓÚÑ][a-záéíóúüñ]{{2,}})?)"
_WHO = {
    "en": re.compile(rf"(?:\b(?:{_SAID})\s{_NAME_EN})|(?:{_NAME_EN}\s(?:{_SAID})\b)"),
    "es": re.compile(rf"\b(?:{_DIJO})\s{_NAME_ES}"),
}
_NOT_NAMES = {"The", "She", "They", "Then", "And", "But", "His", "Her", "That", "This", "There", "What", "When", "Who"}
_QUOTED = re.compile(r"[“\"]([^”\"]+)[”\"]|(?<!\w)['‘](?=\S)((?:[^'’]|['’](?=\w))+)['’](?!\w)")
_OPENS = re.compile(r"[“\"'‘]")
_TORN = re.compile(r"[“”\"‘]|(?<!\w)'|'(?!\w)")


@dataclass(frozen=True)
class Piece:
    """A stretch of one paragraph: spoken, or told."""

    text: str
    spoken: bool


@dataclass
class Talk:
    """Two people taking turns."""

    before: str
    """The paragraph before the first speech; empty where it is long or there is none."""
    speeches: list[str] = field(default_factory=list)
    asides: dict[int, str] = field(default_factory=dict)
    """Narration that stands before a speech, by the speech's index."""
    names: tuple[str, str] = ("", "")
    """Of who speaks first and second; empty where the novel never says."""


def pieces_of(paragraph: str, language: str) -> list[Piece]:
    """A paragraph's spoken and told stretches in order; empty when it does not begin with speech."""
    return _between_dashes(paragraph) if language == "es" else _between_quotes(paragraph)


def _between_dashes(paragraph: str) -> list[Piece]:
    if not paragraph.startswith("—"):
        return []
    found: list[Piece] = []
    for index, part in enumerate(paragraph[1:].split("—")):
        mark = re.match(r"[.,;:]", part)  # after what is told stands the mark of the speech before it
        if mark and index > 1 and index % 2 == 0:
            found[-2] = Piece(found[-2].text + mark[0], spoken=True)
        found.append(Piece(part[mark.end() if mark else 0 :].strip(), index % 2 == 0))
    return [piece for piece in found if piece.text]


def _between_quotes(paragraph: str) -> list[Piece]:
    if not _OPENS.match(paragraph):
        return []
    found, end = [], 0
    for match in _QUOTED.finditer(paragraph):
        told = paragraph[end : match.start()].strip()
        if told:
            found.append(Piece(told, spoken=False))
        found.append(Piece((match[1] or match[2]).strip(), spoken=True))
        end = match.end()
    if paragraph[end:].strip():
        found.append(Piece(paragraph[end:].strip(), spoken=False))
    torn = any(_TORN.search(piece.text) for piece in found if not piece.spoken)  # o' nights: not where the speech ends
    return found if found and found[0].spoken and not torn else []


def speaker_of(pieces: Sequence[Piece], language: str) -> str:
    """The name that the told stretches give to who speaks; empty where they give none."""
    for piece in pieces:
        match = None if piece.spoken else _WHO[language].search(piece.text)
        name = next((group for group in match.groups() if group), "") if match else ""
        if name and name.split()[0] not in _NOT_NAMES:
            return name
    return ""


def speech_of(pieces: Sequence[Piece], language: str) -> str:
    """The speech as an answer: what is said, and in brackets what is told beyond "said so-and-so"."""
    verbs = re.compile(rf"\b(?:{_DIJO if language == 'es' else _SAID})\b")
    out = ""
    for piece in pieces:
        if piece.spoken:
            text = piece.text
            if out.endswith(",") and text[:1].isupper():
                out = out[:-1] + "."
            out += (" " if out else "") + text
            continue
        told = piece.text.strip(" ,;:—-")
        if len(told.split()) < (5 if verbs.search(told) else 3):
            continue
        out = re.sub(r"[,;:]$", ".", out)
        out += f" ({told[:1].upper()}{told[1:].rstrip('.')}.)"
    return re.sub(r"[,;:—-]$", ".", re.sub(r"\s+", " ", out).strip())


def talks(paragraphs: Sequence[str], language: str) -> Iterator[Talk]:
    """The conversations of a scene, in order."""
    run: list[tuple[list[Piece], str]] = []
    before = aside = ""
    for index, paragraph in enumerate([*paragraphs, ""]):
        pieces = pieces_of(paragraph, language)
        if pieces and len(run) < LONGEST_TALK:
            if not run:
                previous = paragraphs[index - 1] if index else ""
                before = previous if 0 < len(previous.split()) <= LONGEST_ASIDE else ""
                aside = ""
            run.append((pieces, aside))
            aside = ""
        elif run and paragraph and not aside and not pieces and len(paragraph.split()) <= LONGEST_ASIDE:
            aside = paragraph
        else:
            talk = _talk(run, before, language)
            if talk:
                yield talk
            run, before, aside = ([(pieces, "")] if pieces else []), "", ""


def _talk(run: Sequence[tuple[list[Piece], str]], before: str, language: str) -> Talk | None:
    if len(run) < FEWEST_SPEECHES:
        return None
    votes: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for index, (pieces, _) in enumerate(run):
        name = speaker_of(pieces, language)
        if name:
            votes[index % 2][name] += 1
    names = tuple(side.most_common(1)[0][0] if side else "" for side in votes)
    split = any(side and side.most_common(1)[0][1] <= side.total() * SURE for side in votes)
    if not any(names) or names[0] == names[1] or split:
        return None
    talk = Talk(before, names=(names[0], names[1]))
    for index, (pieces, aside) in enumerate(run):
        talk.speeches.append(speech_of(pieces, language))
        if aside:
            talk.asides[index] = aside
    return talk if all(talk.speeches) else None
