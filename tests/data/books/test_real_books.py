"""Real public-domain books of many kinds: chapters as counted by eye, every word kept, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from eterna.data.books import Book, read_book
from eterna.data.books.marks import tidy

CHAPTERS = {
    "english_public_domain/alice_in_wonderland.txt": 12,
    "english_public_domain/frankenstein.txt": 28,  # 4 letters, 24 chapters
    "english_public_domain/time_machine.txt": 17,  # 16 and an epilogue
    "english_novels/Bennet_Babylon_1902.txt": 30,  # wrapped, `Chapter One TITLE`
    "english_novels/Bennet_Helen_1910.txt": 27,  # a left-over link at each chapter
    "english_novels/Blackmore_Erema_1877.txt": 58,  # contents of bare numbers
    "english_novels/Burnett_Garden_1911.txt": 27,
    "english_novels/Burnett_Lord_1886.txt": 15,  # lone numbers, contents of the same
    "english_novels/Forster_Howards_1910.txt": 44,  # letters with addresses in capitals
    "english_novels/Kipling_Captains_1896.txt": 10,  # wrapped, no empty line in the whole file
    "english_novels/Kipling_Kim_1901.txt": 15,  # the same, a verse under each heading
    "english_novels/Morris_Wood_1894.txt": 36,
    "english_novels/Thackeray_Pendennis_1850.txt": 75,  # a paragraph a line, no empty lines
    "spanish_novels/SPA1001_GilYCarrasco_ElSenyorDeBembibre.txt": 39,  # 38 and a conclusion
    "spanish_novels/SPA1004_Foz_VidaDePedroSaputo.txt": 54,  # books, chapters, summaries
    "spanish_novels/SPA1015_Jover_LasAmarguras.txt": 37,  # 36 and an epilogue
    "spanish_novels/SPA3014_Alberola_ElSochantre.txt": 11,  # `- II -`
    "spanish_novels/SPA3022_PalacioValdes_LaEspuma.txt": 16,  # `II: Más personajes.`
    "spanish_novels/SPA4026_SoledadGustavo_LasDiosasDeLaVida.txt": 15,
}
KEPT = [
    *CHAPTERS,
    "quijote_es/don_quijote.txt",
    "english_public_domain/king_in_yellow.txt",
    "english_public_domain/poe_vol2.txt",
    "novelas_es_eltec/galdos_marianela.txt",
    "novelas_es_eltec/gomez_de_avellaneda_sab.txt",
    "english_novels/Lawrence_Serpent_1926.txt",
]


@pytest.fixture(scope="module")
def corpora(shared: Path) -> Path:
    return shared / "corpora"


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_chapters_are_those_counted_by_eye(corpora: Path, name: str) -> None:
    found = read_book(corpora / name)
    assert found.chapters == CHAPTERS[name]
    assert not [scene for scene in found.scenes if scene.chapter == 0]


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", re.sub(r"\[\d+\]|\(\*\d+\)", " ", tidy(text)))


def told(book: Book) -> Iterator[str]:
    """Headings and scenes in order; a heading once."""
    before: list[str] = []
    chapter = -1
    for scene in book.scenes:
        parts = scene.heading.split(" · ")
        if scene.chapter != chapter:
            before = []
        common = next(
            (at for at, pair in enumerate(zip(before, parts, strict=False)) if pair[0] != pair[1]),
            min(len(before), len(parts)),
        )
        yield " ".join(parts[common:])
        yield scene.text
        before, chapter = parts, scene.chapter


HYPHEN = re.compile(r"(?<=[^\W\d_])-\n?(?=[^\W\d_])")


@pytest.mark.parametrize("name", KEPT)
def test_every_word_is_kept_in_order_or_reported_as_taken_off(corpora: Path, name: str) -> None:
    book, text = read_book(corpora / name), (corpora / name).read_text(encoding="utf-8")
    kept = "\n\n".join(told(book))
    rest = iter(words(HYPHEN.sub("", text)))
    written = words(HYPHEN.sub("", kept))
    lost = next((index for index, word in enumerate(written) if word not in rest), None)
    assert lost is None, f"out of order or invented: {' '.join(written[lost - 8 : lost + 3])}"
    taken = sum(part.words for part in (*book.front, *book.back, *book.inside))
    joined = len(words(text)) - len(words(kept)) - taken  # words cut by a line end were two
    assert 0 <= joined <= len(re.findall(r"[^\W\d_]-\n", text))


@pytest.mark.parametrize("name", KEPT)
def test_front_and_back_matter_is_small(corpora: Path, name: str) -> None:
    book = read_book(corpora / name)
    text = sum(len(scene.text.split()) for scene in book.scenes)
    assert sum(part.words for part in (*book.front, *book.back, *book.inside)) < 0.02 * text
