"""Sentences and their likeness."""

from __future__ import annotations

from pathlib import Path

import pytest

from eterna.errors import ModelError
from eterna.evaluation import sentences
from eterna.evaluation.sentences import embed, language_of, likeness, ngram_cosines, sentences_of


def test_sentences_end_at_their_marks_and_at_line_ends() -> None:
    assert sentences_of("It turns. Why? «No sé…» — dijo.\nEnd") == ["It turns.", "Why?", "«No sé…»", "— dijo.", "End"]
    assert sentences_of(" — … ") == []


def test_the_encoder_gives_unit_vectors_and_knows_what_is_alike() -> None:
    texts = ["The dog sleeps on the mat.", "A hound is asleep on the rug.", "Interest rates rose in May."]
    vectors = embed(texts)
    assert vectors.shape == (3, 384)
    assert abs((vectors**2).sum(1) - 1).max() < 1e-5
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]


def test_vectors_are_those_of_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["The stair has no end, and every turn is a landing.", "", "Why? " * 40]
    folder = Path(sentences.importlib.util.find_spec(sentences.ENCODER).submodule_search_locations[0]) / "model"  # type: ignore[union-attr,index]
    reference = SentenceTransformer(str(folder), device="cpu").encode(
        [text or " " for text in texts], show_progress_bar=False
    )
    assert abs(embed(texts) - reference).max() < 1e-5


def test_a_vector_does_not_depend_on_the_texts_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit: of several lengths, alone, in company, and in another order; too long ones are cut."""
    texts = [f"{'The stair turns and turns. ' * (one % 50)}So it ends at {one}." for one in range(90)]

    def fresh(given: list[str]) -> dict[str, bytes]:
        monkeypatch.setattr(sentences, "_VECTORS", {})
        return {text: vector.tobytes() for text, vector in zip(given, embed(given), strict=True)}

    together, turned = fresh(texts), fresh(texts[::-1])
    assert together == turned
    assert all(fresh([text]) == {text: together[text]} for text in texts[::9])
    assert len(set(together.values())) > 80


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "ENCODER_SHA256", "0" * 64)
    sentences._encoder.cache_clear()
    with pytest.raises(ModelError, match="is not the one figures are made with"):
        sentences._encoder()
    sentences._encoder.cache_clear()


def test_ngram_cosines_by_hand() -> None:
    cosines = ngram_cosines(["la niña", "otro"], ["la niña", "xyz"])
    assert cosines[0, 0] == pytest.approx(1)
    assert cosines[0, 1] == cosines[1, 1] == 0


def test_spanish_likeness_counts_letters_too() -> None:
    same, other = "La biblioteca no tiene fin.", "Los mercados cerraron a la baja."
    alike = likeness([same], ["La biblioteca nunca tiene fin.", other], "es")[0]
    assert alike[0] > alike[1]
    assert language_of("La biblioteca no tiene fin, y nadie conoce la salida.") == "es"
