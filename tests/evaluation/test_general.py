"""General text comes in paragraphs, the package's own in two languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from eterna.errors import DataError
from eterna.evaluation import general_paragraphs
from eterna.evaluation.words import words


def test_the_packaged_text_is_half_english_half_spanish() -> None:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    count = {"en": 0, "es": 0}
    for _, text in general_paragraphs():
        count[identifier.classify(text)[0]] += len(words(text))
    assert count["en"] >= 850 and count["es"] >= 650


def test_the_ids_of_the_paragraphs_differ() -> None:
    ids = [name for name, _ in general_paragraphs()]
    assert ids[0] == "general:1" and len(set(ids)) == len(ids)


def test_paragraphs_are_separated_by_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text("\nuna línea\r\ny otra\r\n \r\n\r\nañadida\n", encoding="utf-8", newline="")
    assert general_paragraphs(path) == [("own:1", "una línea y otra"), ("own:2", "añadida")]


def test_a_file_without_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text(" \n\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"own\.txt:1: the file holds no text"):
        general_paragraphs(path)
