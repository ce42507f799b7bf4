"""What an interval may claim: nothing for one item, nothing from draws without a figure."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from eterna.cli.output import show_scores
from eterna.evaluation import ItemLoss, bootstrap_ratio, perplexity_scores, score_bleu
from eterna.evaluation.intervals import mean_scores
from eterna.reports.verdict import score_rows, slice_rows
from eterna.runs import SYSTEMS, Score


def loss(name: str, nll: float, tokens: int = 10, size: int = 40) -> ItemLoss:
    return ItemLoss(name, name, nll, tokens, size)


@pytest.mark.parametrize(
    "scores",
    [
        mean_scores("relevancy", [0.2], [0.9], ["g"], "higher", "s"),
        mean_scores("relevancy", [0.2, None], [0.9, 0.5], ["a", "b"], "higher", "s"),
        score_bleu(["a b"], ["c d e f"], ["c d e f"], ["g"]),
        perplexity_scores([loss("a", 20)], [loss("a", 10)], "s"),
        perplexity_scores([loss("a", 20), loss("b", 0, 0, 0)], [loss("a", 10), loss("b", 0, 0, 0)], "s"),
    ],
    ids=["mean", "one of two could be scored", "bleu", "perplexity", "one of two has scored tokens"],
)
def test_one_item_has_a_figure_but_no_interval_and_no_verdict(scores: list[object]) -> None:
    for score in scores:
        assert score.value is not None  # type: ignore[attr-defined]
        assert (score.low, score.high, score.n) == (None, None, 1)  # type: ignore[attr-defined]
    assert {row.outcome for row in score_rows(scores)} == {"unknown"}  # type: ignore[arg-type]


def test_two_items_of_one_group_have_an_interval() -> None:
    low = mean_scores("relevancy", [0.2, 0.4], [0.9, 0.5], ["g", "g"], "higher", "s")[2].low
    assert low == pytest.approx(0.1)


def test_draws_without_a_byte_are_left_out_of_the_interval() -> None:
    """One of three items stands for text: of 1000 draws, about 300 hold nothing to divide by."""
    base = [loss("a", 20), loss("b", 3, 1, 0), loss("c", 3, 1, 0)]
    tuned = [loss("a", 10), loss("b", 2, 1, 0), loss("c", 2, 1, 0)]
    scores = perplexity_scores(base, tuned, "s")
    assert {score.metric for score in scores} == {"perplexity", "bits_per_byte"}
    for score in scores:
        assert score.low is not None and score.high is not None
        assert math.isfinite(score.low) and math.isfinite(score.high)


def test_a_draw_with_nothing_to_divide_by_is_no_number() -> None:
    draws = bootstrap_ratio([[1.0, 1.0]], [1.0, 0.0], ["a", "b"])[0]
    assert {draw for draw in draws if not math.isnan(draw)} == {1.0, 2.0}
    assert any(map(math.isnan, draws))


def test_figures_of_all_items_at_once_stand_beside_those_of_each_and_slices_apart() -> None:
    scores = [
        Score("style", system, 0.5, 0.4, 0.6, 9, "higher", "s", part=part)
        for part in ("", "pooled", "attributed", "voice: jueza")
        for system in SYSTEMS
    ]
    assert [row.label for row in score_rows(scores)] == ["style", "style pooled", "style attributed"]
    assert [row.label for row in slice_rows(scores)] == ["style, voice: jueza"]
    out = io.StringIO()
    show_scores(scores, Console(file=out, width=200))
    assert [line.split("  ")[0] for line in out.getvalue().splitlines()[3:-1]] == [
        "style ↑",
        "style pooled ↑",
        "style attributed ↑",
    ]
