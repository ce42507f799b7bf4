"""Dashes, blanks, ligatures, emphasis and note marks."""

from __future__ import annotations

import pytest

from eterna.data.books.marks import clean, language_of, tidy


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("-Hola -dijo él-. Ven.", "—Hola —dijo él—. Ven."),
        ("--Hola --dijo él--. Ven.", "—Hola —dijo él—. Ven."),
        ("– Hola – dijo él –. Ven.", "—Hola —dijo él—. Ven."),
        ("― Hola ― dijo él.", "—Hola —dijo él."),
        ("—Hola—dijo él—y calló.", "—Hola —dijo él— y calló."),
        ("—Hola —dijo él—, ven.", "—Hola —dijo él—, ven."),
        ("La casa -que era suya- ardía.", "La casa —que era suya— ardía."),
        ("-¡Ven! -gritó.-¿Oyes?", "—¡Ven! —gritó. —¿Oyes?"),
        ("Un molino hispano-romano de 1204-1208.", "Un molino hispano-romano de 1204-1208."),
        ("Hacía -5 grados.", "Hacía -5 grados."),
        ("La calle de ----- era larga.", "La calle de ----- era larga."),
        ("-Uno.\n-Dos.", "—Uno.\n—Dos."),
    ],
)
def test_spanish_dashes(written: str, printed: str) -> None:
    assert clean(written, "es") == printed


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("The keys--nine of them--rang.", "The keys—nine of them—rang."),
        ("The keys -- nine of them -- rang.", "The keys—nine of them—rang."),
        ("The keys - nine of them - rang.", "The keys—nine of them—rang."),
        ("“I think--” he said.", "“I think—” he said."),
        ("Mr. ---- of oil-cloth, 1914-1918, 3 - 2.", "Mr. —— of oil-cloth, 1914-1918, 3 - 2."),
    ],
)
def test_english_dashes(written: str, printed: str) -> None:
    assert clean(written, "en") == printed


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("_Nothing_, said the _old\nman_.", "Nothing, said the old\nman."),
        ("a snake_case_name and _ alone", "a snake_case_name and _ alone"),
        ("It is **large** and *old*.", "It is large and old."),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("seen[1] there(*12) too [2].", "seen there too."),
        ("[a word of the author's]", "[a word of the author's]"),
    ],
)
def test_emphasis_and_note_marks(written: str, kept: str) -> None:
    assert clean(written, "en") == kept


def test_blanks_ligatures_and_hidden_signs_become_plain() -> None:
    assert tidy("\ufeffﬁn\u00a0de\u202fla\u200b o\u00adla\t\r\nsi\u00ad\r\nno") == "fin de la ola\nsi\u00ad\nno"


def test_language_is_told_by_common_words_or_left_open() -> None:
    assert language_of("el molino que estaba en la orilla de un río") == "es"
    assert language_of("the mill that stood on the bank of a river") == "en"
    assert language_of("lorem ipsum dolor sit amet") == ""
