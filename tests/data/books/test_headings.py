"""Which lines are headings."""

from __future__ import annotations

from pathlib import Path

import pytest

from eterna.data.books import read_book
from eterna.data.books.heading_lines import strong_heading
from eterna.data.books.numbers import number_of

PROSE = "The river went by under the window and nobody in the house looked up at it.\n\n"


@pytest.mark.parametrize(
    "line",
    [
        "CHAPTER I.",
        "Chapter One THE MILLIONAIRE AND THE WAITER",
        "Chapter VI: The Reverend Arthur Beebe, the Reverend Cuthbert Eager,",
        "CHAPTER THE LAST",
        "BOOK THE THIRD",
        "Capítulo primero. Los vapores del vino",
        "CAPITULO UNDECIMO",
        "Capítulo XXXIII. Donde se cuenta la novela del Curioso impertinente",
        "Primera parte del ingenioso hidalgo don Quijote de la Mancha",
        "JORNADA SEGUNDA",
        "ACTO III",
        "Libro primero: Jeromín",
        "Prólogo",
        "AL LECTOR",
        "Epilogue",
    ],
)
def test_a_heading_is_known_by_itself(line: str) -> None:
    assert strong_heading(line)


@pytest.mark.parametrize(
    "line",
    [
        "Part of the house was dark.",
        "Chapter one was finished by noon.",
        "The first part of this deposition did not interest me.",
        "Book Club, the Debating Society, the Progressive Whist.",
        "chapter 3",
        "Introduction of the new rules took a year.",
        "Parte de la casa ardía.",
        "Act well your part.",
    ],
)
def test_a_sentence_is_no_heading(line: str) -> None:
    assert strong_heading(line) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("XIV", 14), ("xc", 90), ("12", 12), ("Third", 3), ("décimotercero", 13), ("CAL", None), ("", None)],
)
def test_numbers(text: str, number: int | None) -> None:
    assert number_of(text) == number


def headings(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "book.txt").write_text(text, encoding="utf-8")
    scenes = read_book(tmp_path / "book.txt").scenes
    return list(dict.fromkeys(scene.heading for scene in scenes))


def test_lone_numbers_must_count_on(tmp_path: Path) -> None:
    assert headings(tmp_path, f"I\n\n{PROSE}II\n\n{PROSE}L.\n\n{PROSE}III\n\n{PROSE}") == ["I", "II", "III"]


def test_numbers_under_chapters_are_scenes_of_them(tmp_path: Path) -> None:
    one = f"I\n\n{PROSE}II\n\n{PROSE}"
    found = headings(tmp_path, f"CHAPTER I\n\n{one}CHAPTER II\n\n{one}")
    assert found == ["CHAPTER I · I", "CHAPTER I · II", "CHAPTER II · I", "CHAPTER II · II"]


def test_capitals_are_titles_where_the_contents_say_so(tmp_path: Path) -> None:
    text = (
        f"CONTENTS\n\nThe Black Door\n\nThe Bell\n\nTHE BLACK DOOR\n\n{PROSE}HAWK & SON\n\n{PROSE}THE BELL\n\n{PROSE}"
    )
    assert headings(tmp_path, f"CHAPTER I\n\n{PROSE * 9}" + text)[-1] != "HAWK & SON"
    assert headings(tmp_path, text) == ["THE BLACK DOOR", "THE BELL"]


def test_an_epilogue_behind_the_end_is_kept(tmp_path: Path) -> None:
    text = f"CHAPTER I\n\n{PROSE}CHAPTER II\n\n{PROSE * 20}THE END\n\nEPILOGUE\n\nHe came back.\n"
    assert headings(tmp_path, text)[-1] == "EPILOGUE"
