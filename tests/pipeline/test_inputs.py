"""Files that only the scores need are read before the model, not after hours of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import config_from_values
from eterna.errors import UserError
from eterna.pipeline.train import train

WRONG = {
    "canon": ("canon.yaml", "never: [{id: a, text: t, pattern: '('}]\n", "is not a regular expression"),
    "general": ("general.txt", "\n\n", "the file holds no text"),
    "ratings": ("ratings.csv", "item,rater,rating\na,b,good\n", "ratings.csv:2: rating is 'good'"),
    "control": ("measured.jsonl", '{"format": 1}\n{"item": "a"}\n', "measured.jsonl:2: this is no row of a measured"),
}


@pytest.mark.parametrize("setting", WRONG)
@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "run"])
def test_a_wrong_file_of_the_evaluation_ends_the_plan(
    run_values: dict[str, Any], tmp_path: Path, setting: str, dry_run: bool
) -> None:
    name, text, message = WRONG[setting]
    (tmp_path / name).write_text(text, encoding="utf-8")
    values = {**run_values, "evaluation": {setting: str(tmp_path / name)}}
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        train(config_from_values(values), Console(quiet=True), dry_run=dry_run)
    assert not Path(run_values["training"]["output_dir"]).exists()


@pytest.mark.parametrize("setting", ["canon", "general", "ratings", "control"])
def test_a_file_that_is_not_there_is_named(run_values: dict[str, Any], setting: str) -> None:
    values = {**run_values, "evaluation": {setting: "nowhere.csv"}}
    with pytest.raises(UserError, match=r"no such file: nowhere\.csv"):
        train(config_from_values(values), Console(quiet=True), dry_run=True)


def test_a_dry_run_on_a_machine_that_cannot_do_it_reads_them_too(run_values: dict[str, Any]) -> None:
    training = {**run_values["training"], "precision": "fp16", "use_cpu": True}
    values = {**run_values, "training": training, "evaluation": {"canon": "nowhere.yaml"}}
    with pytest.raises(UserError, match=r"no such file: nowhere\.yaml"):
        train(config_from_values(values), Console(quiet=True), dry_run=True)
