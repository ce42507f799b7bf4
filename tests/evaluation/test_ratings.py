"""Ratings are read strictly; agreement equals Krippendorff's own example; means are taken over items."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from eterna.errors import DataError
from eterna.evaluation import Agreement, Rating, agreement, rating_scores, read_ratings

# The example of Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011: four raters, twelve texts, "." missing.
PUBLISHED = ("1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .")


def published() -> list[Rating]:
    return [
        Rating(f"text{number}", f"rater{rater}", float(value))
        for rater, row in enumerate(PUBLISHED)
        for number, value in enumerate(row.split())
        if value != "."
    ]


def alpha_by_formula(ratings: list[Rating], distance: Callable[[float, float, Counter[float]], float]) -> float:
    """1 - observed / expected disagreement, pair by pair."""
    units = [[one.rating for one in ratings if one.item == item] for item in {one.item for one in ratings}]
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]
    counts = Counter(values)
    observed = sum(distance(a, b, counts) / (len(unit) - 1) for unit in units for a, b in permutations(unit, 2))
    expected = sum(distance(a, b, counts) for a, b in permutations(values, 2)) / (len(values) - 1)
    return 1 - observed / expected


def ordinal(a: float, b: float, counts: Counter[float]) -> float:
    between = sum(count for value, count in counts.items() if min(a, b) <= value <= max(a, b))
    return (between - (counts[a] + counts[b]) / 2) ** 2


def nominal(a: float, b: float, counts: Counter[float]) -> float:
    return float(a != b)


def test_alpha_is_the_published_one() -> None:
    assert alpha_by_formula(published(), nominal) == pytest.approx(0.743, abs=5e-4)  # the formula above is right
    found = agreement(published())
    assert found.alpha == pytest.approx(alpha_by_formula(published(), ordinal))
    assert found.alpha == pytest.approx(0.815, abs=5e-4)
    assert (found.items, found.texts, found.raters, found.ratings) == (12, 12, 4, 41)
    assert found.low is not None and found.high is not None and found.low < found.alpha < found.high


def test_the_verdict_says_when_the_interval_reaches_lower() -> None:
    assert agreement(published()).verdict.startswith("Good agreement (alpha 0.82, 95 % interval")
    assert agreement(published()).verdict.endswith("it may well be below 0.667.")


@pytest.mark.parametrize(
    ("alpha", "opening"),
    [(0.80, "Good agreement"), (0.79, "Tentative"), (0.667, "Tentative"), (0.66, "Low agreement"), (-0.1, "Low")],
)
def test_the_verdict_follows_the_usual_bounds(alpha: float, opening: str) -> None:
    found = Agreement(alpha, 0.7, 0.9, 10, 10, 2, 20, "")
    assert found.verdict.startswith(opening)
    assert ("do not rank single texts" in found.verdict) == (alpha < 0.667)


@pytest.mark.parametrize(
    ("ratings", "reason"),
    [
        ([Rating(f"t{n}", "Ana", n) for n in range(6)], "all ratings of insightfulness are by one rater"),
        ([Rating(f"t{n}", f"r{n}", n) for n in range(6)], "0 texts rated by two raters or more; at least 5 are needed"),
        ([Rating(f"t{n}", r, 3) for n in range(6) for r in "ab"], "all texts that raters share got the same rating"),
        ([], "nobody rated insightfulness"),
        ([Rating("t", "a", 3, criterion="style")], "nobody rated insightfulness"),
    ],
)
def test_where_alpha_is_not_defined_there_is_a_reason(ratings: list[Rating], reason: str) -> None:
    found = agreement(ratings)
    assert found.alpha is None and found.reason == reason
    assert found.verdict == f"Agreement of the raters is not known: {reason}."


def test_the_texts_of_two_systems_are_two_texts() -> None:
    ratings = [
        Rating(f"t{n}", r, n % 3 + 2 * (s == "tuned"), s) for n in range(5) for r in "ab" for s in ("base", "tuned")
    ]
    found = agreement(ratings)
    assert (found.items, found.texts, found.alpha) == (5, 10, 1.0)


def test_draws_in_which_all_ratings_are_alike_are_no_perfect_agreement() -> None:
    # Five texts rated 3 and 3, one rated 3 and 4: a third of the draws miss the only text that differs.
    ratings = [Rating(f"t{n}", rater, 3 + (n == 0 and rater == "b")) for n in range(6) for rater in "ab"]
    found = agreement(ratings)
    assert found.alpha is not None and found.alpha <= 0
    assert found.high is not None and found.high <= 0


def test_the_texts_of_one_item_are_drawn_together() -> None:
    texts = [(f"t{n}", system, n % 4, n % 4 + (n == 0)) for n in range(8) for system in ("base", "tuned")]
    together = [Rating(item, rater, (a, b)[rater == "b"], system) for item, system, a, b in texts for rater in "ab"]
    alone = [Rating(one.item + one.system, one.rater, one.rating) for one in together]
    dependent, independent = agreement(together), agreement(alone)
    assert dependent.alpha == independent.alpha
    assert dependent.low is not None and independent.low is not None and dependent.low < independent.low


def test_a_rater_without_a_shared_text_changes_nothing() -> None:
    found = agreement([*published(), Rating("alone", "rater9", 5)])
    assert found.alpha == pytest.approx(agreement(published()).alpha)
    assert found.raters == 5


def pairs(count: int = 6) -> list[Rating]:
    """Base: item n is rated n and n + 2, mean n + 1. Tuned: rated n + 3 once."""
    found = [Rating(f"i{n}", rater, n + more, "base") for n in range(count) for rater, more in (("a", 0), ("b", 2))]
    return found + [Rating(f"i{n}", "a", n + 3, "tuned") for n in range(count)]


def test_raters_are_averaged_before_items() -> None:
    scores = rating_scores([*pairs(), Rating("i0", "c", 1, "base")])  # a third rater must not give item 0 more weight
    assert [score.value for score in scores] == pytest.approx([3.5, 5.5, 2.0])
    assert [score.metric for score in scores] == ["insightfulness_human"] * 3
    assert scores[0].direction == "higher" and scores[0].n == 6
    difference = scores[2]
    assert (difference.low, difference.high) == pytest.approx((2.0, 2.0))  # paired: every item gains 2


def test_items_rated_for_one_system_only_are_left_out() -> None:
    extra = [Rating("only", "a", 100, "tuned"), Rating("i0", "a", 100, "reference"), Rating("i1", "z", 100)]
    assert [score.value for score in rating_scores([*pairs(), *extra])] == pytest.approx([3.5, 5.5, 2.0])


def test_too_few_items_give_a_reason() -> None:
    scores = rating_scores(pairs(4))
    assert [score.value for score in scores] == [None] * 3
    assert scores[0].reason == "4 items rated for both base and tuned; at least 5 are needed"


def test_each_criterion_is_a_metric_of_its_own() -> None:
    other = [Rating(one.item, one.rater, 2 * one.rating, one.system, "style") for one in pairs()]
    scores = rating_scores(pairs() + other)
    assert [(score.metric, score.value) for score in scores[1::3]] == [
        ("insightfulness_human", 5.5),
        ("style_human", 11.0),
    ]


def write(tmp_path: Path, text: str, name: str = "ratings.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_a_csv_with_bom_accents_and_windows_line_ends_is_read(tmp_path: Path) -> None:
    text = '\ufeffitem,rater,rating,system,note\r\n"el corazón, 1",Íñigo,4,tuned,"dos\r\nlíneas"\r\n\r\ni2,Íñigo,3.5,base,\r\n'
    assert read_ratings(write(tmp_path, text)) == [
        Rating("el corazón, 1", "Íñigo", 4.0, "tuned"),
        Rating("i2", "Íñigo", 3.5, "base"),
    ]


def test_jsonl_is_read(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"item": 7, "rater": "José", "rating": 4},
        {"item": "b", "rater": "José", "rating": 2.5, "system": "base", "criterion": "style"},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    assert read_ratings(write(tmp_path, text, "ratings.jsonl")) == [
        Rating("7", "José", 4.0),
        Rating("b", "José", 2.5, "base", "style"),
    ]


HEAD = "item,rater,rating,system\n"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("itm,rater,rating\na,b,1\n", ["ratings.csv:1: the column item is missing", "did you mean 'itm'?"]),
        ("item,rater,rating,rating\n", ["ratings.csv:1: the column rating stands twice"]),
        ("item;rater;rating\na;b;1\n", ["ratings.csv:1: the columns are separated by semicolons"]),
        (HEAD + "a,b,good,base\n", ["ratings.csv:2: rating is 'good'"]),
        (HEAD + "a,b,,base\n", ["ratings.csv:2: rating is ''"]),
        (HEAD + "a,b,nan,base\n", ["ratings.csv:2: rating is 'nan'"]),
        (HEAD + ",b,1,base\n", ["ratings.csv:2: item is empty"]),
        (HEAD + "a,b,1,tunned\n", ["ratings.csv:2: system is 'tunned'", "did you mean 'tuned'?"]),
        (HEAD + "a,b,3,5,base\n", ["ratings.csv:2: 5 columns where the header has 4"]),
        (HEAD + 'a,"b\nc",1,base\na,b,x,base\n', ["ratings.csv:4: rating is 'x'"]),
        (HEAD + "a,b,1,base\n\na,b,2,base\n", ["ratings.csv:4: 'b' rated 'a' twice (first at ", "ratings.csv:2)"]),
        (HEAD + 'a,"b"c,1,base\n', ["ratings.csv:2", "not valid CSV"]),
        (HEAD + "a,b,x,base\na,b,y,base\n", ["ratings.csv:2: rating is 'x'", "ratings.csv:3: rating is 'y'"]),
        (HEAD, ["ratings.csv:1: the file holds no ratings"]),
        ("", ["ratings.csv:1: the file holds no ratings"]),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line(tmp_path: Path, text: str, messages: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        read_ratings(write(tmp_path, text))
    for message in messages:
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"item": "a", "rater": "b", "score": 1}', "ratings.jsonl:1: the column rating is missing"),
        ('{"item": "a", "rater": "b", "rating": true}', "ratings.jsonl:1: rating is True"),
        ('{"item": "a", "rater": "b", "rating": null}', "ratings.jsonl:1: rating is None"),
        (f'{{"item": "a", "rater": "b", "rating": 1{"0" * 400}}}', "ratings.jsonl:1: rating is"),
        ('{"item": ["a"], "rater": "b", "rating": 1}', "ratings.jsonl:1: item is ['a']"),
        ('{"item": true, "rater": "b", "rating": 1}', "ratings.jsonl:1: item is True"),
        ("{item: 1}", "ratings.jsonl:1:2: not valid JSON"),
    ],
)
def test_a_wrong_json_line_is_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=r"ratings\.jsonl") as caught:
        read_ratings(write(tmp_path, row + "\n", "ratings.jsonl"))
    assert message in str(caught.value)


def test_the_same_rater_may_rate_both_systems_and_several_criteria(tmp_path: Path) -> None:
    text = "item,rater,rating,system,criterion\na,b,1,base,\na,b,1,tuned,\na,b,1,tuned,style\n"
    assert len(read_ratings(write(tmp_path, text))) == 3


def test_an_empty_criterion_is_insightfulness(tmp_path: Path) -> None:
    text = "item,rater,rating,criterion\na,b,1,\na,b,1,insightfulness\n"
    with pytest.raises(DataError, match="rated 'a' twice"):
        read_ratings(write(tmp_path, text))


def test_other_kinds_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not a \.csv or \.jsonl file"):
        read_ratings(write(tmp_path, "x", "ratings.xlsx"))
