"""The words of a text, counted the same way by every metric that counts words.

A word is an unbroken run of letters, digits and their marks of any script, case-folded and composed (NFC), so that
"Corazón" is one word however its accent was typed. Everything else separates. Nothing is stemmed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

SIGNATURE = "words:letters-digits-marks,casefold,NFC,no-stemmer"


class _Separators(dict[int, int | str]):
    """Code point to itself where it belongs to a word, else to a space; filled as signs are met."""

    def __missing__(self, code: int) -> int | str:
        sign = chr(code)
        self[code] = code if sign.isalnum() or unicodedata.category(sign).startswith("M") else " "
        return self[code]


_SEPARATORS = _Separators()


def words(text: str) -> list[str]:
    """The words in their order; empty for a text of signs alone."""
    # Folding can take a letter and its mark apart again, so the text is composed after it.
    return unicodedata.normalize("NFC", text.casefold()).translate(_SEPARATORS).split()


def ngrams(sequence: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Every run of `size` neighbours, in order; empty when there are fewer."""
    return list(zip(*(sequence[start:] for start in range(size)), strict=False))
