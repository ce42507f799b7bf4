"""eterna eval: the canon, human ratings, what is written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import config_from_values
from eterna.errors import CanonError
from eterna.pipeline.evaluate import check_canon, evaluate
from eterna.pipeline.train import Trained, train

CANON = """facts: []
never:
  - id: no_words
    text: Nobody says anything.
    pattern: '^'
    ask: [Who are you?]
"""


def run(values: dict[str, Any]) -> Trained:
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    return trained


def test_a_broken_canon_ends_with_exit_code_4_after_everything_is_written(
    run_values: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "canon.yaml").write_text(CANON, encoding="utf-8")
    values = {**run_values, "world": "eterna:biblioteca"}
    values["evaluation"] = {"samples": 2, "metrics": ["rouge"], "canon": str(tmp_path / "canon.yaml")}
    trained = run(values)
    found = evaluate(trained.run.path)
    tempted = {breach.item for breach in found.breaches if breach.item.startswith("canon/no_words/1/")}
    assert len(tempted) == 10  # each NPC was asked
    assert [breach.as_row() for breach in found.breaches] == trained.run.canon()
    with pytest.raises(CanonError, match="no_words") as caught:
        check_canon(found.breaches)
    assert caught.value.exit_code == 4
    assert "no_words" in trained.run.report.read_text(encoding="utf-8")


def test_a_canon_that_holds_is_said_and_ends_well(run_values: dict[str, Any]) -> None:
    evaluation = {"samples": 2, "metrics": ["rouge"], "probes": 0}
    trained = run({**run_values, "world": "eterna:biblioteca", "evaluation": evaluation})
    assert trained.run.canon() == []
    check_canon(trained.breaches)
    assert "No scored reply breaks the canon" in trained.run.report.read_text(encoding="utf-8")


def test_replies_that_were_drawn_anew_are_counted_and_said(run_values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "canon.yaml").write_text(CANON, encoding="utf-8")
    values = {**run_values, "world": "eterna:biblioteca"}
    values["evaluation"] = {"samples": 2, "metrics": ["rouge"], "probes": 0, "canon": str(tmp_path / "canon.yaml")}
    values["generation"] = {"max_new_tokens": 8, "temperature": 1.0, "redraws": 2}
    trained = run(values)
    # Two answers, and what each NPC was tempted to.
    assert trained.run.redrawn() == 12 == len(trained.run.canon() or [])
    assert "12 replies broke it at first" in trained.run.report.read_text(encoding="utf-8")
    assert "12 replies broke it at first" in (trained.run.final / "README.md").read_text(encoding="utf-8")
    assert all("redraw2:" in score.signature for score in trained.scores if score.metric == "rougeL")


NO_RULE = "no rule was given, by a world or by evaluation.canon"
NO_REPLY = "no reply was generated to hold against it"


@pytest.mark.parametrize(("canon", "metrics", "why"), [(False, ["rouge"], NO_RULE), (True, ["perplexity"], NO_REPLY)])
def test_a_canon_that_nothing_was_held_against_is_not_said_to_hold(
    run_values: dict[str, Any], tmp_path: Path, canon: bool, metrics: list[str], why: str
) -> None:
    (tmp_path / "canon.yaml").write_text(CANON, encoding="utf-8")
    evaluation = {"samples": 2, "metrics": metrics, "probes": 0}
    trained = run({**run_values, "evaluation": evaluation | ({"canon": str(tmp_path / "canon.yaml")} if canon else {})})
    assert (trained.breaches, trained.run.canon(), trained.run.canon_untested()) == (None, None, why)
    check_canon(trained.breaches)
    report = trained.run.report.read_text(encoding="utf-8")
    assert f"The canon was not tested: {why}." in report
    assert "No scored reply breaks the canon" not in report
    assert f"Canon: not tested, because {why}." in (trained.run.final / "README.md").read_text(encoding="utf-8")


def test_human_ratings_become_scores_with_their_agreement(run_values: dict[str, Any], tmp_path: Path) -> None:
    lines = ["item,rater,system,rating"]
    for item in range(8):
        for rater in ("ana", "bo"):
            lines += [f"c{item},{rater},base,{1 + item % 2}", f"c{item},{rater},tuned,{3 + item % 2}"]
    (tmp_path / "ratings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    values = {**run_values, "evaluation": {"metrics": ["perplexity"], "ratings": str(tmp_path / "ratings.csv")}}
    trained = run(values)
    score = next(s for s in trained.scores if (s.metric, s.system) == ("insightfulness_human", "difference"))
    assert score.value == 2
    (rating,) = trained.run.ratings()
    assert rating["alpha"] == pytest.approx(1)
    assert "Good agreement" in rating["verdict"]
    assert "Good agreement" in trained.run.report.read_text(encoding="utf-8")


def test_replies_are_kept_with_their_figures(run_values: dict[str, Any]) -> None:
    trained = run({**run_values, "evaluation": {"samples": 3, "metrics": ["rouge", "coherence"]}})
    rows = trained.run.replies()
    assert len(rows) == 3
    assert all({"base", "tuned"} == row["scores"]["coherence"].keys() for row in rows)
    assert "Replies that scored lowest" in trained.run.report.read_text(encoding="utf-8")


def test_general_text_of_the_users_own_shows_what_was_forgotten(run_values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "general.txt").write_text("Rain fell on the hills.\n\nBread needs flour and water.\n", encoding="utf-8")
    values = {**run_values, "evaluation": {"metrics": ["perplexity"], "general": str(tmp_path / "general.txt")}}
    scores = {(s.metric, s.system): s for s in run(values).scores}
    assert scores["general_perplexity", "base"].n == 2
    content = hashlib.sha256((tmp_path / "general.txt").read_bytes()).hexdigest()
    assert f"|text:{content[:12]}|" in scores["general_perplexity", "base"].signature
