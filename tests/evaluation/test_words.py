"""Words of any script, counted once however they were typed."""

from __future__ import annotations

import unicodedata

import pytest

from eterna.evaluation.words import ngrams, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Él leyó «Año nuevo»: ¿qué más?", ["él", "leyó", "año", "nuevo", "qué", "más"]),
        ("dijo—sin prisa…", ["dijo", "sin", "prisa"]),
        ("don't snake_case 3,5", ["don", "t", "snake", "case", "3", "5"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("— … !", []),
    ],
)
def test_words_are_letters_digits_and_their_marks(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_an_accent_typed_as_a_mark_of_its_own_gives_the_same_word() -> None:
    assert words(unicodedata.normalize("NFD", "CORAZÓN")) == words("corazón")


def test_a_letter_that_folding_takes_apart_is_one_word_with_its_capital() -> None:
    assert words("\u0390") == words("\u03aa\u0301")  # iota with dialytika and tonos: one sign; two signs


def test_ngrams_are_runs_of_neighbours() -> None:
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert ngrams(["a"], 2) == []
