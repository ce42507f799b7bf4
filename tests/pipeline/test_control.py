"""A control: another run's model on the same held-out items."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.cli.output import show_scores
from eterna.config import config_from_values
from eterna.errors import UserError
from eterna.pipeline.evaluate import evaluate
from eterna.pipeline.train import Trained, train

EVALUATION = {"samples": 2, "metrics": ["perplexity", "rouge"], "probes": 0}


def run(values: dict[str, Any], folder: Path, **evaluation: Any) -> Trained:
    training = {**values["training"], "output_dir": str(folder)}
    made = {**values, "training": training, "evaluation": EVALUATION | evaluation}
    trained = train(config_from_values(made), Console(quiet=True))
    assert trained is not None
    return trained


@pytest.fixture
def first(run_values: dict[str, Any], tmp_path: Path) -> Path:
    """A finished run to be held beside others."""
    return run(run_values, tmp_path / "first").run.path


def figures(trained: Any, system: str) -> dict[str, float | None]:
    return {one.metric: one.value for one in trained.scores if one.system == system and not one.part}


def test_a_control_is_scored_beside_base_and_tuned(run_values: dict[str, Any], first: Path, tmp_path: Path) -> None:
    other = {**run_values, "training": {**run_values["training"], "learning_rate": 1e-2}}
    trained = run(other, tmp_path / "second", control=str(first))
    before = {one["metric"]: one["value"] for one in json.loads((first / "scores.json").read_text())["scores"]
              if one["system"] == "tuned" and not one["part"]}  # fmt: skip
    control, tuned = figures(trained, "control"), figures(trained, "tuned")
    against, difference = figures(trained, "against_control"), figures(trained, "difference")
    assert control["perplexity"] == pytest.approx(before["perplexity"])
    assert control["rougeL"] == before["rougeL"]
    assert against["perplexity"] == pytest.approx(tuned["perplexity"] - control["perplexity"])
    assert against["perplexity"] != difference["perplexity"]
    origin = trained.run.control()
    assert origin is not None
    assert re.fullmatch(rf"tiny: {re.escape(run_values['model']['name'])}, [1-9]\d* steps on .*chat\.jsonl", origin)
    report = trained.run.report.read_text(encoding="utf-8")
    assert "Beside the control" in report
    assert f"Recorded run: {origin}." in report
    shown = StringIO()
    show_scores(trained.scores, Console(file=shown, width=200), origin)
    beside = shown.getvalue().partition(f"the same beside the control, the recorded run {origin}")[2].splitlines()
    assert beside[1].split() == ["control", "tuned", "against", "control"]
    assert f"{against['perplexity']:+.1f}" in beside[2] or f"{against['perplexity']:+.3f}" in beside[2]


def test_eval_finds_the_same_figures_again(run_values: dict[str, Any], first: Path, tmp_path: Path) -> None:
    trained = run(run_values, tmp_path / "second", control=str(first / "measured.jsonl"))
    again = evaluate(trained.run.path)
    assert figures(again, "control") == pytest.approx(figures(trained, "control"))
    assert figures(again, "against_control")["perplexity"] == pytest.approx(0, abs=1e-3)  # the very same training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: None if "example" in row else row, "does not have the example"),
        (lambda row: row | ({"tokens": 1} if "example" in row else {}), "has another example under the name of"),
        (lambda row: None if "item" in row else row, "does not have the prompt"),
        (lambda row: row | ({"asked": "0"} if "item" in row else {}), "has another prompt under the name of"),
    ],
)
def test_a_control_on_other_items_is_refused_before_training(
    run_values: dict[str, Any], first: Path, tmp_path: Path, change: Any, message: str
) -> None:
    lines = (first / "measured.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [changed for changed in map(change, map(json.loads, lines)) if changed is not None]
    file = tmp_path / "measured.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        run(run_values, tmp_path / "second", control=str(file))
    assert not (tmp_path / "second").exists()


def test_other_generation_is_another_question(run_values: dict[str, Any], first: Path, tmp_path: Path) -> None:
    longer = {**run_values, "generation": {"max_new_tokens": 9}}
    with pytest.raises(UserError, match="has another prompt"):
        run(longer, tmp_path / "second", control=str(first))
