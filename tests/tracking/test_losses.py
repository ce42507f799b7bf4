"""Trackers that fail on the way, and names that MLflow would refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eterna.config import MlflowSection
from eterna.tracking import Trackers
from eterna.tracking.mlflow import MlflowTracker


@pytest.mark.parametrize("name", ["¿calidad?", "a" * 300, "tone, pace"])
def test_a_figure_with_any_name_is_kept_by_mlflow(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = MlflowTracker("r", MlflowSection(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}"))
    tracker.log_metrics(3, {f"score/{name}_human/base": 4.0, "score/bleu/base": 1.0})
    kept = tracker.client.get_run(tracker.run_id).data.metrics
    assert sorted(kept.values()) == [1.0, 4.0]
    assert kept["score/bleu/base"] == 1.0


def test_a_tracker_lost_on_the_way_is_ended_as_failed() -> None:
    closed: list[str] = []

    class Once:
        def log_metrics(self, step: int, metrics: Any) -> None:
            raise ConnectionError("no route")

        def close(self, state: str) -> None:
            closed.append(state)
            raise ConnectionError("still no route")

    said: list[str] = []
    trackers = Trackers(said.append)
    trackers.open("once", Once)  # type: ignore[arg-type]
    trackers.log_metrics(1, {"x": 1.0})
    trackers.log_metrics(2, {"x": 1.0})
    trackers.close("finished")
    assert closed == ["failed"]
    assert len(said) == 1
