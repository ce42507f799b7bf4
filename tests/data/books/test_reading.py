"""Whole small books to scenes: what is kept, what is taken off, and that the form of the file does not matter."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eterna.config import Columns, Source
from eterna.data import RawExample, read_source
from eterna.data.books import Book, read_book
from eterna.errors import DataError, UserError

FILES = Path(__file__).parent / "files"
NAMES = sorted(path.name for path in FILES.iterdir())


def book(name: str) -> Book:
    return read_book(FILES / name)


def written(tmp_path: Path, text: str, name: str = "book.txt") -> Book:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_book(tmp_path / name)


def examples(path: Path) -> list[RawExample]:
    return read_source(Source(path=str(path), format="book"), Columns(), None, "train").examples


def texts(name: str) -> str:
    return "\n\n".join(scene.text for scene in book(name).scenes)


def test_scenes_have_ids_titles_groups_and_places() -> None:
    found = examples(FILES / "lighthouse.txt")
    assert [one.id for one in found] == ["lighthouse.txt:1.1", "lighthouse.txt:1.2", "lighthouse.txt:2.1"]
    assert found[0].title == "The Lighthouse Ledger: CHAPTER I · THE KEEPER"
    assert [one.group for one in found] == ["lighthouse.txt:1", "lighthouse.txt:1", "lighthouse.txt:2"]
    assert str(found[1].place).endswith("lighthouse.txt:55")
    assert (found[0].scene.voice, found[0].scene.language) == ("lighthouse", "en")


def test_the_place_is_the_line_where_a_scene_begins() -> None:
    for name in NAMES:
        lines = (FILES / name).read_text(encoding="utf-8").split("\n")
        for scene in book(name).scenes:
            first = re.findall(r"\w+", lines[scene.line - 1])
            assert first == re.findall(r"\w+", scene.text)[: len(first)], (name, scene.name)


def test_licence_credits_title_page_and_contents_are_taken_off_and_counted() -> None:
    found = book("lighthouse.txt")
    assert [part.what for part in found.front] == ["licence", "credits", "title page", "contents"]
    assert [part.what for part in found.back] == ["end matter", "licence"]
    assert "Gutenberg" not in texts("lighthouse.txt")
    assert found.front[2].first == "THE LIGHTHOUSE LEDGER BY ANN HARROW LONDON 1891"


def test_the_note_says_what_was_found_and_what_was_taken_off() -> None:
    source = read_source(Source(path=str(FILES / "molino.txt"), format="book"), Columns(), None, "train")
    assert "2 chapters, 3 scenes; taken off front: 4 lines: title page (line 1, 4 lines: El molino" in source.notes[0]
    assert "contents (line 53, 3 lines: ÍNDICE" in source.notes[0]


def test_wrapped_prose_becomes_a_line_a_paragraph() -> None:
    first = book("lighthouse.txt").scenes[0].text.split("\n\n")[0]
    assert "\n" not in first and first.endswith('never much of a sleeper."')


def test_a_painted_board_and_a_shout_are_no_headings() -> None:
    assert "NO WRITING AFTER DARK" in texts("lighthouse.txt")
    assert '"HELP!"' in texts("lighthouse.txt")


def test_a_song_a_signature_and_a_romance_keep_their_lines() -> None:
    assert "The lamp is low, the oil is thin,\nThe keeper nods, the sea comes in,\n" in texts("lighthouse.txt")
    assert "Your obedient servant,\nABEL FINCH." in texts("lighthouse.txt")
    assert {scene.kind for scene in book("romance.txt").scenes} == {"verse"}


def test_emphasis_note_marks_and_pictures_leave_no_trace_but_the_picture_is_reported() -> None:
    assert not re.search(r"[_\[\]]", texts("lighthouse.txt"))
    notice, picture = book("lighthouse.txt").inside
    assert str(notice).startswith("notice (line 15, 2 lines: [Transcriber's Note: Spelling")
    assert str(picture) == "illustration (line 59, 2 lines: [Illustration: The ship without a lantern])"


def test_a_play_is_cut_at_acts_and_scenes_and_keeps_its_speakers() -> None:
    found = book("faro.txt").scenes
    assert [(scene.name, scene.heading) for scene in found] == [
        ("1.1", "JORNADA PRIMERA · ESCENA I"),
        ("1.2", "JORNADA PRIMERA · ESCENA II"),
        ("2.1", "JORNADA SEGUNDA · ESCENA I"),
    ]
    assert "EL NOTARIO\nTraigo un papel y dos sellos\n" in found[0].text
    assert "UN NIÑO.\n\nUN NIÑO\nSeñora" in found[2].text


def test_markdown_headings_quotes_and_rules() -> None:
    found = book("letters.md")
    assert found.title == "Letters from the Ninth Stair"
    assert [scene.name for scene in found.scenes] == ["1.1", "1.2", "2.1"]
    assert found.scenes[0].heading == "First letter"
    assert "The index was here yesterday.\nIt will be here tomorrow." in found.scenes[0].text
    assert "the Library is like. It is large;" in found.scenes[0].text


def test_a_chapter_summary_belongs_to_the_heading() -> None:
    heading = "Primera parte · Capítulo I · Donde el molinero encuentra lo que no había perdido"
    assert book("molino.txt").scenes[0].heading == heading


def test_a_wide_gap_between_paragraphs_parts_two_scenes(tmp_path: Path) -> None:
    prose = "The river went by under the window and nobody in the house looked up at it.\n\n"
    found = written(tmp_path, "CHAPTER I\n\n" + prose * 12 + "\n\n" + prose * 12)
    assert [scene.name for scene in found.scenes] == ["1.1", "1.2"]


def test_an_inset_between_wide_gaps_parts_nothing(tmp_path: Path) -> None:
    prose = "The river went by under the window and nobody in the house looked up at it.\n\n"
    found = written(tmp_path, "CHAPTER I\n\n" + prose * 24 + "\nmiss minchin's school\n\n\n" + prose * 12)
    assert len(found.scenes) == 1


def test_a_book_without_chapters_is_kept_whole(tmp_path: Path) -> None:
    found = written(tmp_path, "-Hola.\n\n-¿Quién es?\n\n" + "El río pasaba y nadie en la casa lo miraba nunca. " * 5)
    assert (found.chapters, found.front, len(found.scenes)) == (0, [], 1)
    assert found.scenes[0].text.startswith("—Hola.\n\n—¿Quién es?")


def test_a_name_of_another_chapter_in_the_text_is_no_heading(tmp_path: Path) -> None:
    text = "Chapter 1\n\nHe had read as far as\nChapter 4. There he fell asleep, and the book went on\nwithout him.\n"
    assert [scene.heading for scene in written(tmp_path, text).scenes] == ["Chapter 1"]


OLD = """Project Gutenberg Etext of The Ledger

***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***
This Small Print statement disclaims most of our liability to you.
*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*

The Ledger

CHAPTER I

The light had burned for ninety years and nobody had asked it why.

End of the Project Gutenberg Etext of The Ledger
"""
SPLIT = OLD.replace(
    OLD[: OLD.index("The Ledger\n\nCH")], "*** START OF THE PROJECT GUTENBERG EBOOK, THE\nLEDGER ***\n\n"
)


@pytest.mark.parametrize("text", [OLD, SPLIT, SPLIT + OLD[: OLD.index("The Ledger\n\nCH")]])
def test_licences_of_every_age_are_taken_off(tmp_path: Path, text: str) -> None:
    found = written(tmp_path, text)
    assert [scene.text for scene in found.scenes] == [
        "The light had burned for ninety years and nobody had asked it why."
    ]
    assert found.scenes[0].heading == "CHAPTER I"


def test_a_sentence_that_begins_like_a_heading_stays_text(tmp_path: Path) -> None:
    text = "Chapter 1\n\nHe rose and spoke at last, and they all fell silent to hear it.\n\n"
    text += "The first part of this deposition did not in the least interest me,\nbut I listened.\n"
    assert "The first part of this" in written(tmp_path, text).scenes[0].text


def variants(text: str) -> list[bytes]:
    blanks = re.sub(r"\n", lambda match: (" ", "\t", "  \t", "")[match.start() % 4] + "\n", text)
    return [
        b"\xef\xbb\xbf" + text.encode(),
        text.replace("\n", "\r\n").encode(),
        text.replace("\n", "\r").encode(),
        unicodedata.normalize("NFD", text).encode(),
        blanks.encode(),
        b"\xef\xbb\xbf" + unicodedata.normalize("NFD", blanks).replace("\n", "\r\n").encode(),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_the_file_does_not_matter(tmp_path: Path, name: str) -> None:
    expected = [(one.id, one.title, one.text) for one in examples(FILES / name)]
    for raw in variants((FILES / name).read_text(encoding="utf-8")):
        (tmp_path / name).write_bytes(raw)
        assert [(one.id, one.title, one.text) for one in examples(tmp_path / name)] == expected


LINES = st.lists(
    st.sampled_from(["", "", "CHAPTER I", "—Señor —dijo él—.", "-Ven, añadió.", "II", "* * *", "El río pasó."])
)


@given(
    lines=LINES,
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    blanks=st.lists(st.sampled_from(["", " ", "\t", "\u00a0 "]), min_size=1),
    form=st.sampled_from(["NFC", "NFD"]),
)
def test_any_mixture_of_line_ends_blanks_and_accents_gives_the_same_scenes(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str, blanks: list[str], form: str
) -> None:
    folder = tmp_path_factory.mktemp("books")
    lines = ["Un libro que empieza con una línea.", *lines]
    mixed = "".join(line + blanks[index % len(blanks)] + end for index, line in enumerate(lines))
    path = folder / "book.txt"
    path.write_bytes(unicodedata.normalize(form, mixed).encode())
    found = read_book(path).scenes
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    assert found == read_book(path).scenes


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("El año.".encode("latin-1"), "byte 4 \\(0xf1\\) is not UTF-8"),
        (b"\xef\xbb\xbf" + "El año.".encode("latin-1"), "byte 7 \\(0xf1\\) is not UTF-8"),
        ("El año.".encode("latin-1"), "iconv -f LATIN1 -t UTF-8 .*book.txt"),
        ("—El año.".encode("cp1252"), "iconv -f WINDOWS-1252"),
        ("El año.".encode("utf-16"), "UTF-16 .*iconv -f UTF-16 -t UTF-8"),
        ("El año pasado.".encode("utf-16-le"), "UTF-16 .byte 1 is NUL.*iconv -f UTF-16LE"),
        ("El año pasado.".encode("utf-16-be"), "UTF-16 .byte 0 is NUL.*iconv -f UTF-16BE"),
        ("El año.".encode("utf-32"), "UTF-32"),
    ],
)
def test_other_encodings_are_refused_with_the_byte_and_the_command(tmp_path: Path, raw: bytes, expected: str) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(raw)
    with pytest.raises(UserError, match=f"(?s){expected}"):
        read_book(path)


@pytest.mark.parametrize("text", ["", "\n \n", "CHAPTER I\n\nCHAPTER II\n"])
def test_a_file_without_text_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="text"):
        written(tmp_path, text)


def test_a_file_that_is_no_plain_text_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "book.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"use a \.txt or \.md file"):
        examples(tmp_path / "book.jsonl")
