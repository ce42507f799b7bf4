"""ROUGE by hand, against rouge_score on English, and on Spanish, where rouge_score goes wrong."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from eterna.evaluation.rouge import METRICS, rouge_of, score_rouge

ASCII_TEXT = st.lists(
    st.one_of(
        st.sampled_from(["the", "The", "lamp", "is", "lit.", "don't", "a_b", "42", "--"]),
        st.text(string.printable, max_size=6),
    ),
    max_size=12,
).map(" ".join)


def test_rouge_1_counts_each_word_as_often_as_both_have_it() -> None:
    # "the" twice in both, "cat" once: 3 of the reply's 4 words, 3 of the reference's 6.
    found = rouge_of("the the cat ran", "the cat sat on the mat")["rouge1"]
    assert found == pytest.approx((3 / 4, 3 / 6, 0.6))


def test_rouge_2_counts_neighbours() -> None:
    # "the cat" of 3 pairs against 5.
    assert rouge_of("the the cat ran", "the cat sat on the mat")["rouge2"] == pytest.approx((1 / 3, 1 / 5, 0.25))


def test_rouge_l_keeps_the_order_and_allows_gaps() -> None:
    # "police ... the gunman" in order against "gunman" before "police": 3 of 4 words, then 2 of 4.
    reference = "police killed the gunman"
    assert rouge_of("police kill the gunman", reference)["rougeL"] == pytest.approx((0.75, 0.75, 0.75))
    assert rouge_of("the gunman kill police", reference)["rougeL"] == pytest.approx((0.5, 0.5, 0.5))


@settings(max_examples=200, deadline=None)
@given(ASCII_TEXT, ASCII_TEXT)
@example("", "")
@example("one", "one two")
def test_ascii_text_scores_as_in_rouge_score(reply: str, reference: str) -> None:
    theirs = RougeScorer(METRICS, use_stemmer=False).score(reference, reply)
    ours = rouge_of(reply, reference)
    for metric in METRICS:
        assert tuple(ours[metric]) == pytest.approx(tuple(theirs[metric]), abs=1e-9)


@pytest.mark.parametrize(
    ("reply", "reference"), [("coraz n", "corazón"), ("a o", "año"), ("l", "él"), ("el", "él"), ("a n", "aún")]
)
def test_pieces_of_a_spanish_word_are_no_match(reply: str, reference: str) -> None:
    assert rouge_of(reply, reference)["rouge1"].f == 0.0
    assert rouge_of(reference.upper(), reference)["rouge1"] == (1.0, 1.0, 1.0)


def test_rouge_score_breaks_spanish_words_so_the_case_above_is_real() -> None:
    assert RougeScorer(["rouge1"]).score("aún", "a n")["rouge1"].fmeasure == 1.0


def test_the_score_is_the_mean_f_over_items() -> None:
    scores = score_rouge(["a b", "x"], ["a b", "c d"], ["a b", "c d"], ["g", "g"])
    assert [(score.metric, score.system) for score in scores[:3]] == [
        ("rouge1", "base"),
        ("rouge1", "tuned"),
        ("rouge1", "difference"),
    ]
    assert [score.value for score in scores] == [0.5, 1.0, 0.5] * 3
    assert {score.n for score in scores} == {2}
    assert {score.direction for score in scores} == {"higher"}


def test_an_empty_reply_scores_nothing() -> None:
    assert score_rouge([""], ["…"], ["a b c"], ["g"])[1].value == 0.0


def test_replies_and_references_must_be_as_many() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        score_rouge(["a"], ["a"], ["a", "b"], ["g", "g"])


def test_the_signature_says_that_nothing_is_stemmed() -> None:
    assert "no-stemmer" in score_rouge(["a"], ["a"], ["a"], ["g"])[0].signature
