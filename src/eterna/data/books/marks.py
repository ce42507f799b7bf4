"""Signs of a printed book as plain text: odd spaces, ligatures, italics, footnote marks, dashes of dialogue.

Two steps: `tidy` for a whole file, before anything looks at its lines; `clean` for a joined paragraph or stanza.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Language = Literal["es", "en", ""]

LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ſt", "ﬆ": "st"}
SOFT_HYPHEN = "\u00ad"
_SPACES = dict.fromkeys(
    "\v\f\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u2028\u2029"
)
_SIGNS = str.maketrans(
    {
        **dict.fromkeys(_SPACES, " "),
        **dict.fromkeys("\u200b\u2060\ufeff"),
        **LIGATURES,
        "\t": "    ",
    }
)
_INNER_SOFT_HYPHEN = re.compile(SOFT_HYPHEN + r"+(?!\s*$)", re.MULTILINE)


def tidy(text: str) -> str:
    """The file's text in one form, line by line: NFC, LF, plain spaces, no ligatures, nothing at line ends.

    A soft hyphen stays only at the end of a line, where it says that the word goes on in the next one.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_SIGNS)
    text = _INNER_SOFT_HYPHEN.sub("", unicodedata.normalize("NFC", text))
    return "\n".join(line.rstrip() for line in text.split("\n"))


_COMMON: dict[Language, str] = {
    "es": " que de la el los las en y á a no se un una por con su lo del al como es ",
    "en": " the of and to in that it was he his her with for is you had not she at ",
}


def language_of(text: str) -> Language:
    """Spanish or English by their commonest words; empty where neither is plain."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    shares = {
        language: sum(f" {word} " in common for word in words) / max(1, len(words))
        for language, common in _COMMON.items()
    }
    language = max(shares, key=lambda name: shares[name])
    return language if shares[language] >= 0.12 else ""


_UNDERLINED = re.compile(r"(?<![^\W_])_(?=\S)([^_]+?)(?<=\S)_(?![^\W_])")
_STARRED = re.compile(r"(?<![\w*])(\*{1,2})(?=[^\s*])([^*]+?)(?<=[^\s*])\1(?![\w*])")
_NOTE_MARK = re.compile(r" ?(?:\[(?:\d{1,3}|\*{1,3}|†)\]|\(\*\d{1,3}\)|\{\d{1,3}\})(?=\W|$)")


def clean(text: str, language: Language) -> str:
    """A paragraph, or a stanza with its line breaks, without marks of emphasis and notes, its dashes set as printed."""
    text = _STARRED.sub(r"\2", _UNDERLINED.sub(r"\1", text.replace(SOFT_HYPHEN, "")))
    text = _NOTE_MARK.sub("", text)
    text = re.sub(r" {2,}", " ", text)
    text = spanish_dashes(text) if language == "es" else english_dashes(text)
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def english_dashes(text: str) -> str:
    """`--` and a spaced `-` or `–` become an unspaced dash; a longer row of hyphens (a left-out name) two dashes."""
    text = re.sub(r"(?<!-)-{4,}(?!-)", "——", text)
    text = re.sub(r" ?(?<!-)(?:-{2,3}|―)(?!-) ?", "—", text)
    return re.sub(r"(?<=[^\s\d-]) [-–] (?=[^\s\d-])", "—", text)


_DASH = re.compile(r"(?P<before>[^\S\n]*)(?P<sign>-{1,3}|[–‒―—])(?P<after>[^\S\n]*)")


def spanish_dashes(text: str) -> str:
    """Dashes of dialogue and of asides as Spanish prints them: `—Hola —dijo él—. Ven.`

    A dash at the start of a line opens speech. Inside, one that stands before a word opens an aside and one behind a
    word closes it; where blanks do not tell (both sides or neither), the two take turns. Hyphens inside words, ranges
    of numbers and rows of hyphens stay.
    """
    return "\n".join(_spanish_line(line) for line in text.split("\n"))


def _spanish_line(line: str) -> str:
    pieces: list[str] = []
    end, inside = 0, False
    for match in _DASH.finditer(line):
        before, after = line[: match.start()], line[match.end() :]
        blank_before, blank_after = bool(match["before"]) or not before, bool(match["after"]) or not after
        if _is_no_dash(match["sign"], before, after, blank_before, blank_after):
            continue
        pieces.append(line[end : match.start()])
        end = match.end()
        if not before.strip():
            pieces.append("—")
        elif _opens(before, after, blank_before, blank_after, inside):
            pieces.append(" —")
            inside = True
        else:
            pieces.append("— " if after and (after[0].isalnum() or after[0] in "¡¿«“\"'(") else "—")
            inside = False
    return "".join(pieces) + line[end:]


def _is_no_dash(sign: str, before: str, after: str, blank_before: bool, blank_after: bool) -> bool:
    last, following = before[-1:], after[:1]
    if last == "-" or following == "-":
        return True  # a row of hyphens
    if not blank_before and not blank_after and last.isalnum() and following.isalnum():
        return sign == "-" or (last.isdigit() and following.isdigit())
    return bool(
        sign == "-" and blank_before and before and following.isdigit() and not blank_after
    )  # a negative number


def _opens(before: str, after: str, blank_before: bool, blank_after: bool, inside: bool) -> bool:
    if blank_before != blank_after:
        return blank_before and (not after or after[0] not in ".,;:)")
    if after and after[0] in ".,;:)!?»”":
        return False
    return not inside or (before.rstrip()[-1:] in ".!?…" and (after[:1].isupper() or after[:1] in "¡¿"))
