"""Texts as they are compared with each other, so that copies are found in whatever way they were typed. Only compared:
what is trained on keeps its own signs.

Two texts count as the same when they hold the same words in the same order. A word is a run of letters, digits and
their marks after NFKC and case folding, so composed and decomposed accents, full-width letters and ligatures agree.
Signs of scripts without spaces (ideographs, kana) and symbols such as + or an emoji are words of their own;
punctuation and spaces separate; signs without a width of their own (joiners, bidi controls) and variation selectors
count for nothing. Known weakness: in code, brackets are punctuation, so a[i] and a(i) are the same.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from eterna.data.examples import RawExample

KNOWN_WORDS = 1_000_000  # entries of the table of word hashes, about 150 MB, before it begins anew

ARRAY_COST = 25  # words; what an array takes besides them


class _Signs(dict[int, str]):
    """Code point to what it counts as; filled as signs are met."""

    def __missing__(self, code: int) -> str:
        self[code] = _counts_as(chr(code))
        return self[code]


def _counts_as(sign: str) -> str:
    kind = unicodedata.category(sign)
    if kind == "Cf" or "\ufe00" <= sign <= "\ufe0f":
        return ""
    if kind in ("Sm", "Sc", "So") or (kind == "Lo" and unicodedata.east_asian_width(sign) in "WF"):
        return f" {sign} "
    return sign if sign.isalnum() or kind.startswith("M") else " "


_SIGNS = _Signs()


def compared_words(text: str) -> list[str]:
    """The words of a text as they are compared; empty for punctuation alone."""
    # Folding can take a letter and its mark apart again, so the text is composed after it.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_SIGNS).split()


class _WordHashes(dict[str, int]):
    """Word to 64 bits of its BLAKE2b hash, the same in every process."""

    def __missing__(self, word: str) -> int:
        if len(self) >= KNOWN_WORDS:
            self.clear()
        # A lone half of a surrogate pair is no UTF-8, but JSON can hold one.
        found = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        self[word] = found
        return found


_HASHES = _WordHashes()


def exact_key(example: RawExample) -> bytes:
    """16 bytes that two examples share when all their turns, the system text included, hold the same words."""
    pieces: list[str] = []
    for role, text in _pieces(example):
        # Punctuation alone is compared as it stands: "?!" is no copy of "...".
        pieces += (role, " ".join(compared_words(text)) or unicodedata.normalize("NFKC", text).strip())
    return hashlib.blake2b("\x1f".join(pieces).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _pieces(example: RawExample) -> Iterator[tuple[str, str]]:
    if example.messages:
        yield from ((message["role"], message["content"]) for message in example.messages)
    else:
        yield "text", example.text


class WordArrays:
    """The words of each example as an array (words,) of uint64 hashes; of a conversation without its system text,
    which all conversations of a persona share.

    Arrays are kept until they hold `kept_words` together, 8 bytes each, and made again on demand after that.
    """

    def __init__(self, examples: Sequence[RawExample], kept_words: int = 25_000_000) -> None:
        self.examples = examples
        self.room = kept_words
        self.kept: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Any:
        if index in self.kept:
            return self.kept[index]
        import numpy

        words = [
            word for role, text in _pieces(self.examples[index]) if role != "system" for word in compared_words(text)
        ]
        found = numpy.fromiter(map(_HASHES.__getitem__, words), dtype=numpy.uint64, count=len(words))
        cost = len(found) + ARRAY_COST
        if cost <= self.room:
            self.kept[index] = found
            self.room -= cost
        return found
