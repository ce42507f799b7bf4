"""Numbers as headings write them: roman, digits, and words of English and Spanish."""

from __future__ import annotations

import re


def _listed(words: str) -> list[str]:
    return words.split()


_ENGLISH = _listed(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_ENGLISH_ORDINALS = _listed(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_SPANISH = _listed(
    "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
    "dieciocho diecinueve veinte"
)
_SPANISH_ORDINALS = _listed(
    "primero segundo tercero cuarto quinto sexto séptimo octavo noveno décimo undécimo duodécimo"
)
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_WORDS = {
    word: number
    for words in (_ENGLISH, _ENGLISH_ORDINALS, _SPANISH, _SPANISH_ORDINALS)
    for number, word in enumerate(words, start=1)
}
_WORDS |= {word[:-1] + "a": number for number, word in enumerate(_SPANISH_ORDINALS, start=1)}
_WORDS |= {
    "primer": 1,
    "tercer": 3,
    "nono": 9,
    "nona": 9,
    "único": 1,
    "única": 1,
    "última": 999,
    "último": 999,
    "last": 999,
}
_WORDS |= {f"{tens}-{word}": base + one for tens, base in _TENS.items() for one, word in enumerate(_ENGLISH[:9], 1)}
_WORDS |= {f"décimo{word}": 10 + one for one, word in enumerate(_SPANISH_ORDINALS[:9], 1)} | _TENS
_FOLDED = {word.translate(str.maketrans("áéíóú", "aeiou")): number for word, number in _WORDS.items()} | _WORDS

ROMAN = r"(?:[IVXLC]+|[ivxlc]+)(?!\w)"
ORDINAL = "(?:" + "|".join(sorted(_FOLDED, key=len, reverse=True)) + r"|\d{1,3}(?:st|nd|rd|th|\.?[ªº]))(?!\w)"
_STRICT = re.compile(r"(C{0,3})(XC|XL|L?X{0,4})(IX|IV|V?I{0,4})", re.I)
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def number_of(text: str) -> int | None:
    """The number that digits, a roman numeral up to 399, or a word stands for; None for anything else."""
    if digits := re.match(r"\d+", text):
        return int(digits[0])
    if text.lower() in _FOLDED:
        return _FOLDED[text.lower()]
    if not text or not _STRICT.fullmatch(text):
        return None
    values = [_VALUES[sign] for sign in text.upper()]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))
