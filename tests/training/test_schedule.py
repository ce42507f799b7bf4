"""The learning rate of every step is known before training, except where it follows the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import TrainingSection, config_from_values
from eterna.config.field_tables import SCHEDULES
from eterna.errors import ConfigError
from eterna.pipeline.train import Trained, train
from eterna.reports.curves import points_of
from eterna.training import build_arguments, describe_schedule, plan_schedule, thin_schedule

SETTINGS: dict[str, dict[str, Any]] = {
    "cosine_with_restarts": {"num_cycles": 2},
    "polynomial": {"power": 2.0, "lr_end": 1e-5},
    "cosine_with_min_lr": {"min_lr_rate": 0.1},
    "cosine_warmup_with_min_lr": {"min_lr": 1e-5, "warmup_lr_rate": 0.2},
    "warmup_stable_decay": {"num_decay_steps": 3, "decay_type": "linear"},
    "greedy": {"min_lr": 1e-5, "max_lr": 1e-2},
}
BY_RESULTS = {"reduce_lr_on_plateau", "greedy"}


def arguments(folder: Path, **settings: Any) -> Any:
    return build_arguments(TrainingSection(output_dir=str(folder), **settings), "fp32", True)


def run(values: dict[str, Any], **training: Any) -> Trained:
    values = {**values, "training": {**values["training"], **training}}
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    return trained


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_trains_at_the_rates_that_were_planned(run_values: dict[str, Any], name: str) -> None:
    """Each logged learning rate is the one in schedule.json; what follows the results has no plan."""
    settings = {"lr_scheduler_type": name, "lr_scheduler_kwargs": SETTINGS.get(name, {}), "warmup_steps": 2}
    values = {**run_values, "evaluation": {"probes": 0}}
    folder = run(values, max_steps=8, eval_steps=4, save_strategy="no", **settings).run
    logged = points_of(folder.metrics(), "train/learning_rate")
    assert [step for step, _ in logged] == list(range(1, 9))
    if name in BY_RESULTS:
        assert folder.schedule() == []
    else:
        assert [rate for _, rate in logged] == pytest.approx([rate for _, rate in folder.schedule()], rel=1e-6)


def test_a_plan_follows_its_own_settings(tmp_path: Path) -> None:
    """Worked by hand: two steps of warm-up from half, two at the top, four down to half in a straight line."""
    kwargs = {"num_decay_steps": 4, "min_lr_ratio": 0.5, "decay_type": "linear"}
    settings = arguments(tmp_path, lr_scheduler_type="warmup_stable_decay", lr_scheduler_kwargs=kwargs, warmup_steps=2, learning_rate=0.1)  # fmt: skip
    assert plan_schedule(settings, 8) == pytest.approx([0.05, 0.075, 0.1, 0.1, 0.1, 0.0875, 0.075, 0.0625])


@pytest.mark.parametrize(
    "settings",
    [
        {"lr_scheduler_type": "cosine_with_min_lr"},
        {"lr_scheduler_type": "warmup_stable_decay"},
        {"lr_scheduler_type": "linear", "lr_scheduler_kwargs": {"power": 2}},
        {"lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"factor": 2.0}},
    ],
    ids=str,
)
def test_settings_that_a_schedule_refuses_end_the_plan(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"schedule {settings['lr_scheduler_type']}"):
        plan_schedule(arguments(tmp_path, **settings), 10)


def test_a_long_plan_is_thinned_without_its_first_highest_or_last_step(tmp_path: Path) -> None:
    settings = arguments(tmp_path, warmup_steps=777, learning_rate=0.5, lr_scheduler_type="cosine")
    rates = plan_schedule(settings, 54_321)
    assert rates is not None
    points = thin_schedule(rates)
    assert 990 < len(points) <= 1000
    assert {1: rates[0], 778: 0.5, 54_321: rates[-1]}.items() <= dict(points).items()
    assert all(rates[step - 1] == rate for step, rate in points)
    assert thin_schedule(rates[:1000]) == list(enumerate(rates[:1000], start=1))


@pytest.mark.parametrize(
    ("settings", "steps", "line"),
    [
        ({"lr_scheduler_type": "linear", "warmup_steps": 3}, 6, "▁▃▆█▆▃  0 -> 0.002 at step 4 -> 0.000667 at step 6, 3 steps of warm-up (linear)"),
        ({"lr_scheduler_type": "linear"}, 4, "█▆▅▃  0.002 at step 1 -> 0.0005 at step 4 (linear)"),
        ({"lr_scheduler_type": "constant", "warmup_steps": 3}, 3, "███  0.002 at step 1 -> 0.002 at step 3 (constant)"),
        ({"lr_scheduler_type": "linear"}, 1, "█  0.002 at step 1 (linear)"),
        ({"lr_scheduler_type": "reduce_lr_on_plateau"}, 9, "0.002 at first, then by the results on data.eval (reduce_lr_on_plateau)"),
    ],
)  # fmt: skip
def test_the_plan_draws_the_curve_in_one_line(tmp_path: Path, settings: dict[str, Any], steps: int, line: str) -> None:
    made = arguments(tmp_path, learning_rate=0.002, **settings)
    assert describe_schedule(made, plan_schedule(made, steps)) == line


def test_the_planned_curve_stands_in_the_folder_the_report_and_the_trackers(
    run_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)  # MLflow puts its artifacts into ./mlruns
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    values = {**run_values, "tracking": {"mlflow": {"tracking_uri": uri}}}
    folder = run(values, lr_scheduler_type="cosine", report_to=["tensorboard", "mlflow"]).run
    planned = folder.schedule()
    record = json.loads((folder.path / "schedule.json").read_text(encoding="utf-8"))
    assert (record["format"], record["steps"]) == (1, [1, 2, 3, 4, 5, 6])
    page = folder.report.read_text(encoding="utf-8")
    assert 'id="learning-rate-train/learning_rate"' in page
    assert 'id="learning-rate-plan/learning_rate"' in page
    events = EventAccumulator(str(folder.path / "logs")).Reload().Scalars("plan/learning_rate")
    assert [(event.step, event.value) for event in events] == [(s, pytest.approx(r, rel=1e-6)) for s, r in planned]
    client = MlflowClient(tracking_uri=uri)
    (tracked,) = client.search_runs([client.get_experiment_by_name("eterna").experiment_id])
    history = client.get_metric_history(tracked.info.run_id, "plan/learning_rate")
    assert sorted((metric.step, metric.value) for metric in history) == planned
