"""Disk, memory and folders: estimated beside what a real run takes, and refused before any weight is loaded."""

from __future__ import annotations

import io
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import config_from_values
from eterna.errors import UserError
from eterna.pipeline.plan import make_plan
from eterna.pipeline.room import count_checkpoints
from eterna.pipeline.train import train

Usage = namedtuple("Usage", "total used free")


def with_training(values: dict[str, Any], **training: Any) -> Any:
    return config_from_values({**values, "training": {**values["training"], **training}})


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that gets as far as its weights fails the test."""

    def loaded(*_: Any, **__: Any) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("eterna.pipeline.train.load_model", loaded)


def refusal(loaded: Any) -> str:
    with pytest.raises(UserError) as caught:
        train(loaded, Console(quiet=True))
    return str(caught.value)


def said(loaded: Any) -> str:
    out = io.StringIO()
    train(loaded, Console(file=out, width=400), dry_run=True)
    return out.getvalue()


@pytest.mark.parametrize(
    ("method", "limit"), [("lora", None), ("lora", 1), ("full", None), ("full", 2)], ids=lambda value: str(value)
)
def test_the_disk_is_estimated_within_a_tenth(
    run_values: dict[str, Any], tmp_path: Path, method: str, limit: int | None
) -> None:
    values = {key: value for key, value in run_values.items() if key != "lora" or method == "lora"}
    values["data"] = {**values["data"], "eval": []}
    loaded = with_training(values, save_total_limit=limit, report_to=["tensorboard"])
    plan = make_plan(loaded)
    train(loaded, Console(quiet=True))
    found = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert plan.disk.total == pytest.approx(found, rel=0.1)
    assert plan.disk.kept == len(list((tmp_path / "run").glob("checkpoint-*"))) == (limit or 3)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"save_steps": 2}, 3),
        ({"save_steps": 4}, 2),
        ({"save_steps": 0.5}, 2),
        ({"save_steps": 500}, 1),
        ({"save_strategy": "epoch"}, 2),
        ({"save_strategy": "no"}, 0),
        ({"save_strategy": "best", "eval_steps": 2, "metric_for_best_model": "perplexity"}, 3),
    ],
)
def test_checkpoints_are_counted(run_values: dict[str, Any], settings: dict[str, Any], count: int) -> None:
    assert count_checkpoints(with_training(run_values, **settings).config, steps=6, epochs=2) == count


def test_each_evaluation_may_leave_the_best_checkpoint(run_values: dict[str, Any]) -> None:
    run_values["evaluation"]["best"] = {"perplexity": -1}
    assert count_checkpoints(with_training(run_values, save_steps=6, eval_steps=3).config, steps=6, epochs=2) == 1 + 2


@pytest.mark.usefixtures("no_loading")
def test_a_full_disk_is_refused_with_numbers(run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eterna.pipeline.room.shutil.disk_usage", lambda _: Usage(2**30, 2**30 - 1000, 1000))
    message = refusal(config_from_values(run_values))
    assert "MiB on the disk, and 0.0 MiB are free in" in message
    assert "training.save_total_limit: 1" in message
    assert "on the disk" in said(config_from_values(run_values))


@pytest.mark.usefixtures("no_loading")
def test_a_run_larger_than_the_machine_is_refused(run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eterna.pipeline.room.total_memory", lambda: 10**8)
    assert "0.1 GiB of memory" in refusal(config_from_values(run_values))


def test_less_free_memory_than_needed_is_a_note(run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eterna.pipeline.room.free_memory", lambda _: (1000, "memory"))
    assert "note      only 0.0 GiB of memory are free now" in said(config_from_values(run_values))
    monkeypatch.setattr("eterna.pipeline.room.free_memory", lambda _: (2**50, "memory"))
    assert "are free now" not in said(config_from_values(run_values))


@pytest.mark.usefixtures("no_loading")
def test_folders_that_cannot_be_written_to_are_refused(run_values: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.write_text("x", encoding="utf-8")
    assert "is a file" in refusal(with_training(run_values, output_dir=str(file)))
    assert f"{file} is a file" in refusal(with_training(run_values, output_dir=str(file / "run")))
    if Path("/proc").is_dir():
        assert "/proc cannot be written to" in refusal(with_training(run_values, output_dir="/proc/run"))
    values = {**run_values, "tracking": {"tensorboard_dir": str(file)}}
    assert "tracking.tensorboard_dir" in refusal(with_training(values, report_to=["tensorboard"]))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_loading")
def test_what_is_missing_is_found_before_the_weights(run_values: dict[str, Any], tmp_path: Path) -> None:
    world = {**run_values, "world": str(tmp_path / "nowhere")}
    assert "nowhere" in refusal(config_from_values(world))
    lora = {**run_values, "lora": {"r": 4, "target_modules": ["q_proj", "no_proj"]}}
    assert "lora.target_modules names 'no_proj'" in refusal(config_from_values(lora))
    window = {**run_values, "generation": {"max_new_tokens": 200}}
    assert "leaves no room for a prompt" in refusal_of_values(window)
    assert "training.save_total_limit is 0" in refusal_of_values(
        {**run_values, "training": {**run_values["training"], "save_total_limit": 0}}
    )
    assert "did you mean 'epoch'?" in refusal_of_values(
        {**run_values, "training": {**run_values["training"], "logging_strategy": "epohc"}}
    )


def refusal_of_values(values: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        config_from_values(values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({"per_device_train_batch_size": 64}, "per_device_train_batch_size is 64, but there are 12 examples"),
        ({"max_steps": 4}, "max_steps is 4, so num_train_epochs (2) has no effect"),
        ({"eval_steps": 100}, "evaluated only before the first and after the last"),
        ({"save_steps": 100}, "the only checkpoint is the last step's"),
        ({"logging_steps": 100}, "only the first step is logged"),
        ({"warmup_steps": 100}, "longer than the run"),
    ],
)
def test_settings_without_the_effect_one_may_expect_are_noted(
    run_values: dict[str, Any], settings: dict[str, Any], note: str
) -> None:
    assert note not in said(config_from_values(run_values))
    assert note in said(with_training(run_values, **settings))


def test_the_plan_says_what_is_trained_and_what_is_saved(run_values: dict[str, Any]) -> None:
    shown = said(config_from_values(run_values))
    assert "trained   adapters on q_proj x 2, v_proj x 2" in shown
    assert "final/" in shown
    assert "MiB at the peak: " in shown
    assert "time      roughly " in shown
    whole = {key: value for key, value in run_values.items() if key != "lora"}
    assert "trained   every weight of the model" in said(config_from_values(whole))
