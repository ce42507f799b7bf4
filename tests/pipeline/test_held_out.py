"""A run on a held-out share of its own data; leaks in a run; what resuming must notice of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import config_from_values
from eterna.errors import DataError, RunError
from eterna.pipeline.check_data import check_data
from eterna.pipeline.evaluate import evaluate
from eterna.pipeline.outline import show_outline
from eterna.pipeline.plan import make_plan
from eterna.pipeline.resuming import check_same_data
from eterna.pipeline.train import train
from eterna.runs import RunFolder


def with_data(values: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {**values, "data": {"train": values["data"]["train"], "max_length": 200, **data}}


def test_a_run_scores_what_it_held_out_and_finds_it_again(run_values: dict[str, Any], chat_file: Path) -> None:
    values = with_data(run_values, hold_out=0.3, leaks="remove")
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    kept, held = trained.run.data()["sources"]
    assert (kept["name"], held["name"]) == (str(chat_file), f"{chat_file} (held out)")
    assert kept["examples"] + kept["removed_copies"] + held["examples"] == 12
    assert next(row["step"] for row in trained.run.metrics() if "eval/loss" in row) == 0
    before = {(one.metric, one.system): one.value for one in trained.scores if one.metric == "perplexity"}
    after = {
        (one.metric, one.system): one.value for one in evaluate(trained.run.path).scores if one.metric == "perplexity"
    }
    assert before
    assert after == pytest.approx(before)


def test_training_on_what_is_held_out_is_refused_before_anything_is_written(run_values: dict[str, Any]) -> None:
    values = with_data(run_values, eval=run_values["data"]["eval"])
    with pytest.raises(DataError, match="this held-out example is trained on"):
        train(config_from_values(values), Console(quiet=True))
    assert not Path(values["training"]["output_dir"]).exists()


def test_leaks_that_are_meant_are_noted_in_the_plan(run_values: dict[str, Any]) -> None:
    assert (
        "12 exact duplicates between train and eval, so scores are flattered (listed by eterna data check)"
        in make_plan(config_from_values(run_values)).notes
    )


def test_the_outline_of_a_run_that_is_too_large_for_this_machine_notes_them_too(run_values: dict[str, Any]) -> None:
    console = Console(file=io.StringIO(), record=True)
    show_outline(
        config_from_values({**run_values, "training": {**run_values["training"], "precision": "fp16"}}), console
    )
    assert "this machine cannot do it" in console.export_text(clear=False)
    assert "12 exact duplicates between train and eval" in console.export_text()


def test_what_was_removed_is_shown_and_counted(run_values: dict[str, Any], tmp_path: Path) -> None:
    twice = tmp_path / "twice.jsonl"
    rows = [
        json.dumps({"prompt": f"Who is {name}?", "completion": "Somebody else."}) for name in ("Abel", "Ines", "Abel")
    ]
    twice.write_text("\n".join(rows) + "\n", encoding="utf-8")
    values = with_data(run_values, train=[{"path": str(twice)}], duplicates="remove")
    check = check_data(config_from_values(values))
    assert check.record()["sources"][0]["removed_copies"] == 1
    assert f"{twice}: 1 example removed as copies" in check.warnings
    assert [str(copy) for copy in check.copies] == [f"duplicate: {twice}:1 = {twice}:3"]


def test_resuming_on_changed_held_out_data_is_refused(run_values: dict[str, Any], tmp_path: Path) -> None:
    held = tmp_path / "held.jsonl"
    held.write_text('{"prompt": "Who?", "completion": "Ines."}\n', encoding="utf-8")
    run = RunFolder(tmp_path / "other")
    plans = {}
    for policy in ("warn", "remove"):
        config = config_from_values(with_data(run_values, eval=[{"path": str(held)}], leaks=policy))
        plans[policy] = make_plan(config)
    run.path.mkdir()
    (run.path / "data.json").write_text(
        json.dumps({"format": 1, **plans["remove"].data.record(None)}), encoding="utf-8"
    )
    for plan in plans.values():
        check_same_data(run, plan)
        plan.data.reports[1].sha256 = "changed"
        with pytest.raises(RunError, match=r"held\.jsonl has changed since the run began"):
            check_same_data(run, plan)
