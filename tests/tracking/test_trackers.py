"""What TensorBoard and MLflow really hold afterwards; a broken tracker never stops a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import MlflowSection, TrackingSection, config_from_values
from eterna.pipeline.train import train
from eterna.tracking import Trackers, open_trackers
from eterna.tracking.mlflow import MlflowTracker


def run(values: dict[str, Any], *trackers: str, **tracking: Any) -> Path:
    values = {**values, "training": {**values["training"], "report_to": list(trackers)}, "tracking": tracking}
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    return trained.run.path


def test_tensorboard_holds_every_curve_and_sample(run_values: dict[str, Any]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run(run_values, "tensorboard")
    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    tags = events.Tags()
    wanted = {"train/loss", "train/learning_rate", "train/grad_norm", "train/tokens_per_second"}
    assert wanted | {"eval/loss", "eval/perplexity", "eval/bits_per_byte"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Scalars("eval/perplexity")] == [0, 2, 4, 6]
    from eterna.runs import RunFolder

    recorded = [row["train/loss"] for row in RunFolder(folder).metrics() if "train/loss" in row]
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(recorded, rel=1e-6)
    assert any(tag.startswith("samples/") for tag in tags["tensors"])
    assert "config/text_summary" in tags["tensors"]


def test_mlflow_on_sqlite_holds_parameters_metrics_config_hash_and_report(
    run_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)  # artifacts of a SQLite store go beside it
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    folder = run(run_values, "mlflow", mlflow={"tracking_uri": uri, "experiment": "biblioteca"})
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("biblioteca")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "tiny"
    assert found.data.params["training.learning_rate"] == "0.001"
    assert found.data.params["lora.r"] == "4"
    from eterna.runs import RunFolder

    source = RunFolder(folder).data()["sources"][0]
    assert found.data.params["data.0.sha256"] == source["sha256"]
    history = client.get_metric_history(found.info.run_id, "eval/perplexity")
    assert [metric.step for metric in history] == [0, 2, 4, 6]
    names = {item.path for item in client.list_artifacts(found.info.run_id)}
    assert {"resolved.yaml", "data.json", "environment.json", "report.html", "samples"} <= names


def test_a_tracker_that_fails_is_left_alone_and_said_once() -> None:
    said: list[str] = []

    class Broken:
        def log_metrics(self, step: int, metrics: Any) -> None:
            raise ConnectionError("no route")

    trackers = Trackers(said.append)
    trackers.open("broken", Broken)  # type: ignore[arg-type]
    for step in range(3):
        trackers.log_metrics(step, {"x": 1.0})
    assert len(said) == 1
    assert "broken is not reachable" in said[0]
    assert "no route" in said[0]


def test_a_tracker_that_cannot_start_does_not_stop_the_run(run_values: dict[str, Any], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("taken", encoding="utf-8")
    folder = run(run_values, "tensorboard", tensorboard_dir=str(blocked))
    assert (folder / "report.html").is_file()


def test_a_failed_run_is_recorded_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = MlflowTracker("r", MlflowSection(tracking_uri=uri))
    tracker.close("failed")
    assert MlflowClient(tracking_uri=uri).get_run(tracker.run_id).info.status == "FAILED"


def test_unknown_trackers_are_left_to_transformers(tmp_path: Path) -> None:
    assert not open_trackers(["wandb"], tmp_path, "r", TrackingSection(), lambda line: None).active
