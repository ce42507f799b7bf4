"""BLEU pools its counts, agrees with sacrebleu, and its intervals come from the shared draws."""

from __future__ import annotations

import math

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from eterna.evaluation.bleu import bleu_of, score_bleu

LINE = "él sí leyó más libros en la biblioteca"


def value(replies: list[str], references: list[str]) -> float:
    found = score_bleu(replies, replies, references, ["g"] * len(replies))[0].value
    assert found is not None
    return found


def test_a_short_reply_pays_the_brevity_penalty() -> None:
    # All of its n-grams match; 4 words against 8: exp(1 - 8 / 4).
    assert value(["a b c d"], ["a b c d e f g h"]) == pytest.approx(100 * math.exp(-1))


def test_a_long_reply_pays_through_precision_alone() -> None:
    # Matches 4/5, 3/4, 2/3, 1/2 and no brevity penalty.
    assert value(["a b c d e"], ["a b c d"]) == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_orders_without_a_match_count_as_a_half_then_a_quarter() -> None:
    # 1-grams 3/4, 2-grams 1/3, 3-grams none of 2: (1/2)/2, 4-grams none of 1: (1/4)/1.
    assert value(["a b c d"], ["a b x d"]) == pytest.approx(100 * (3 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25)


def test_counts_are_pooled_instead_of_averaging_items() -> None:
    # Nine words all right and five all wrong: matches 9/14, 8/12, 7/10, 6/8, not the mean of 100 and 0.
    replies = ["a b c d e f g h i", "v w x y z"]
    expected = 100 * (9 / 14 * 8 / 12 * 7 / 10 * 6 / 8) ** 0.25
    assert value(replies, [replies[0], "p q r s t"]) == pytest.approx(expected)


SENTENCES = st.lists(
    st.sampled_from(["¿qué", "«nada»,", "el", "él", "dijo—sin", "más…", "libro", "a", "b.", "3,5"]), max_size=9
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=5))
def test_the_value_is_sacrebleus_corpus_bleu(pairs: list[tuple[list[str], list[str]]]) -> None:
    replies, references = ([" ".join(side) for side in sides] for sides in zip(*pairs, strict=True))
    expected = sacrebleu.corpus_bleu(replies, [references], tokenize="intl", force=True).score
    assert value(replies, references) == pytest.approx(expected, abs=1e-9)


def test_spanish_marks_are_taken_off_their_words() -> None:
    assert bleu_of("¿Qué libro es?", "Qué libro es") > bleu_of("xQué libro esx", "Qué libro es")


def test_text_without_its_accents_scores_lower() -> None:
    assert value([LINE], [LINE]) == pytest.approx(100)
    assert value(["el si leyo mas libros en la biblioteca"], [LINE]) == pytest.approx(34.57, abs=0.01)


def test_each_reply_is_compared_with_its_own_reference() -> None:
    texts = ["the lamp is lit each night", "no index is ever quite complete", "he counts the stairs before dawn"]
    assert value(texts, texts) == pytest.approx(100)
    assert value(texts, texts[1:] + texts[:1]) < 5


def test_replies_and_references_must_be_as_many() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        score_bleu(["a"], ["a"], ["a", "b"], ["g", "g"])


def test_an_empty_reply_scores_nothing() -> None:
    assert value(["", ""], ["a b", "c"]) == 0.0
    assert bleu_of("", "a b") == 0.0


def test_no_items_give_a_reason() -> None:
    assert [(score.value, score.reason) for score in score_bleu([], [], [], [])] == [
        (None, "there is no reply to score")
    ] * 3


def test_the_interval_holds_the_value_and_the_difference_is_paired() -> None:
    references = [f"the {number} lamps of the house are lit again tonight" for number in range(20)]
    half = [text if number % 2 else "nothing at all to say" for number, text in enumerate(references)]
    base, tuned, difference = score_bleu(half, references, references, ["g"] * 20)
    assert base.value is not None and base.low is not None and base.high is not None
    assert base.low < base.value < base.high
    assert tuned.low == pytest.approx(100) and tuned.high == pytest.approx(100)
    assert difference.value == pytest.approx(100 - base.value)
    assert difference.low == pytest.approx(100 - base.high) and difference.low > 0


def test_groups_are_drawn_whole() -> None:
    references = [f"the {number} lamps of the house are lit again tonight" for number in range(20)]
    half = references[:10] + ["nothing at all to say"] * 10
    by_item, by_group = (
        score_bleu(half, half, references, groups)[0] for groups in (["g"] * 20, ["a"] * 10 + ["b"] * 10)
    )
    assert by_group.low == 0.0 and by_group.high == pytest.approx(100)
    assert by_item.low is not None and by_item.low > 10


def test_the_signature_says_how_it_was_counted() -> None:
    signature = score_bleu(["a"], ["a"], ["a"], ["g"])[0].signature
    assert signature.startswith("nrefs:1|case:mixed|eff:no|tok:intl|smooth:exp|version:")
    assert "ci:bootstrap1000" in signature


def test_a_single_reply_is_scored_over_the_orders_it_has() -> None:
    assert bleu_of("hello there", "hello there") == pytest.approx(100)
    assert value(["hello there"], ["hello there"]) == 0.0
