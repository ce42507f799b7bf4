"""The composite that picks the best checkpoint."""

from __future__ import annotations

import math

import pytest

from eterna.evaluation import composite_of


def test_gains_by_hand() -> None:
    first = {"perplexity": 100.0, "bleu": 2.0, "style": 0.5}
    now = {"perplexity": 50.0, "bleu": 4.0, "style": 0.7}
    found = composite_of(now, first, {"perplexity": -1.0, "bleu": 2.0, "style": 0.5})
    assert found.terms == {
        "perplexity": pytest.approx(math.log(2)),
        "bleu": pytest.approx(0.04),
        "style": pytest.approx(0.1),
    }
    assert found.value == pytest.approx(sum(found.terms.values()))


def test_it_starts_at_zero_and_worse_is_below() -> None:
    first = {"perplexity": 100.0}
    assert composite_of(first, first, {"perplexity": -1.0}).value == 0
    assert composite_of({"perplexity": 120.0}, first, {"perplexity": -1.0}).value < 0


def test_a_metric_without_a_figure_is_named_and_counts_nothing() -> None:
    found = composite_of({"perplexity": 90.0}, {"perplexity": 100.0}, {"perplexity": -1.0, "style": 1.0})
    assert found.missing == ("style",)
    assert "style" not in found.terms


def test_a_perplexity_past_all_bounds_is_no_gain() -> None:
    assert composite_of({"perplexity": math.inf}, {"perplexity": 9.0}, {"perplexity": -1.0}).value == 0
