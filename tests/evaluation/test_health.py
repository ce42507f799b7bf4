"""Each figure of text health by hand, and what it must not be fooled by."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from eterna.evaluation.copying import copied_runs
from eterna.evaluation.health import repetition, score_health
from eterna.evaluation.language import score_drift
from eterna.runs import Score


def health(
    base: Sequence[str],
    tuned: Sequence[str],
    references: Sequence[str] | None = None,
    base_stopped: Sequence[bool] | None = None,
    training_texts: Sequence[str] = ("nothing in common",),
) -> dict[tuple[str, str], Score]:
    count = len(base)
    scores = score_health(
        base,
        tuned,
        references or ["one two three"] * count,
        [str(number) for number in range(count)],
        base_stopped or [True] * count,
        [True] * count,
        ["en", "es"],
        training_texts,
    )
    return {(score.metric, score.system): score for score in scores}


def test_distinct_counts_different_ngrams_of_the_whole_pool() -> None:
    # base: "a b a b" and "a b c d": 8 words of 4 kinds; pairs ab ba ab | ab bc cd: 6 of 4 kinds.
    found = health(["a b a b", "a b c d"], ["a b c d", "e f g h"])
    assert found["distinct_1", "base"].value == pytest.approx(4 / 8)
    assert found["distinct_2", "base"].value == pytest.approx(4 / 6)
    assert found["distinct_1", "tuned"].value == 1.0
    assert found["distinct_1", "difference"].value == pytest.approx(0.5)
    assert found["distinct_1", "base"].direction == "higher"


def test_distinct_looks_at_as_many_words_of_both_replies() -> None:
    found = health(["a b c", "d d d x y z"], ["a a a x y z", "d e f"])
    assert found["distinct_1", "base"].value == pytest.approx(4 / 6)
    assert found["distinct_1", "tuned"].value == pytest.approx(4 / 6)


def test_the_interval_of_distinct_holds_its_value() -> None:
    score = health([f"a b c{number} d{number}" for number in range(12)], ["a b c d"] * 12)["distinct_1", "base"]
    assert score.value is not None and score.low is not None and score.high is not None
    assert score.low <= score.value <= score.high


def test_texts_too_short_for_an_ngram_give_a_reason() -> None:
    score = health(["a b", ""], ["a b c d", "a b c"])["distinct_3", "tuned"]
    assert score.value is None and score.reason == "no reply of both models has 3 words"


def test_repetition_is_the_share_of_4_grams_seen_before_in_the_reply() -> None:
    # a b c d a b c d: abcd bcda cdab dabc abcd - one of five was there before.
    assert repetition(["a", "b", "c", "d", "a", "b", "c", "d"]) == pytest.approx(1 / 5)
    assert repetition(["a", "b", "c", "d", "e"]) == 0.0
    assert repetition(["a", "b", "c"]) is None


def test_repetition_does_not_look_across_replies() -> None:
    found = health(["a b c d", "a b c d"], ["a b c d a b c d", "a b c d"])
    assert found["repetition", "base"].value == 0.0
    assert found["repetition", "tuned"].value == pytest.approx(1 / 10)
    assert found["repetition", "tuned"].direction == "lower"


def test_half_and_twice_the_length_are_equally_far_off() -> None:
    found = health(["w " * 3], ["w " * 15], references=["w " * 7])
    assert found["length_gap", "base"].value == pytest.approx(math.log(2))
    assert found["length_gap", "tuned"].value == pytest.approx(math.log(2))
    assert found["length_gap", "base"].direction == "lower"


def test_an_empty_reply_is_counted_and_has_a_length_gap() -> None:
    found = health(["", "…", "a"], ["a", "b", "c"])
    assert found["empty", "base"].value == pytest.approx(2 / 3)
    assert found["empty", "tuned"].value == 0.0
    assert found["length_gap", "base"].value == pytest.approx((2 * math.log(4) + math.log(2)) / 3)
    assert found["empty", "base"].direction == "lower"


def test_stopped_is_the_share_of_replies_that_ended_by_themselves() -> None:
    found = health(["a"] * 4, ["a"] * 4, base_stopped=[True, False, False, False])
    assert found["stopped", "base"].value == 0.25
    assert found["stopped", "difference"].value == 0.75
    assert found["stopped", "base"].direction == "higher"


ENGLISH = "the lamp in the stairwell is lit every night"
SPANISH = "la lámpara de la escalera se enciende cada noche"


def drift(base: str, tuned: str, reference: str, languages: Sequence[str] = ("en", "es")) -> list[Score]:
    return score_drift([base], [tuned], [reference], ["g"], languages)


def test_a_reply_in_the_other_language_has_drifted() -> None:
    assert [score.value for score in drift(ENGLISH, SPANISH, SPANISH)] == [1.0, 0.0, -1.0]
    assert [score.value for score in drift(ENGLISH, SPANISH, ENGLISH)] == [0.0, 1.0, 1.0]


def test_english_is_looked_for_where_the_data_is_spanish_alone() -> None:
    assert [score.value for score in drift(ENGLISH, SPANISH, "Sí.", ["es-MX"])] == [1.0, 0.0, -1.0]


def test_texts_below_five_words_are_not_judged() -> None:
    assert drift("the lamp is lit", SPANISH, SPANISH)[0].value is None
    assert drift(ENGLISH, SPANISH, "de la noche")[0].reason == "no item could be scored for both models"


@pytest.mark.parametrize(
    ("languages", "reason"),
    [
        (["en"], "the data is in one language only, en"),
        ([], "the data names no language"),
        (["es", "xx"], "py3langid does not know xx"),
    ],
)
def test_languages_that_cannot_be_told_apart_give_a_reason(languages: list[str], reason: str) -> None:
    assert drift(ENGLISH, SPANISH, SPANISH, languages)[0].reason == reason


def test_py3langids_shared_identifier_is_left_alone() -> None:
    import py3langid

    drift(ENGLISH, SPANISH, SPANISH)
    assert py3langid.classify("das Buch liegt auf dem Tisch in der Küche")[0] == "de"


def test_the_longest_copied_run_is_counted_in_words() -> None:
    source = "before the door he counts the stairs and says nothing at all"
    reply = "Well, he counts the stairs, and says NOTHING. Then he leaves."
    assert copied_runs([reply, "he counts the stairs and", ""], ["unrelated text", source]) == [7, 0, 0]


def test_a_run_goes_on_over_words_that_stand_twice() -> None:
    assert copied_runs(["x a a a a a a a a b"], ["a a a a a a a", "a a a a a a a a b c"]) == [9]


def test_a_run_does_not_join_two_training_texts() -> None:
    halves = ["one two three four five six", "seven eight nine ten eleven twelve"]
    assert copied_runs([" ".join(halves)], halves) == [6]
    assert copied_runs([" ".join(halves)], [" ".join(halves)]) == [12]


def test_copying_is_the_mean_over_replies() -> None:
    source = "one two three four five six seven eight"
    found = health([source, "one two"], ["one two", "one two"], training_texts=[source])
    assert [found["copied_run", system].value for system in ("base", "tuned")] == [4.0, 0.0]
    assert found["copied_run", "base"].direction == "lower"


def test_copying_without_training_texts_gives_a_reason() -> None:
    assert health(["a"], ["b"], training_texts=())["copied_run", "base"].reason is not None
