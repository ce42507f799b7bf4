"""MLflow through its client: SQLite by default, any server by URI."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eterna.config import MlflowSection

DEFAULT_URI = "sqlite:///mlflow.db"
MAX_PARAMETER = 6000
BATCH = 100
STATES = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MlflowTracker:
    """One MLflow run. MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and MLFLOW_RUN_ID are honoured."""

    def __init__(self, run_name: str, section: MlflowSection) -> None:
        # MLflow reports usage over the network by default; a training tool must not.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("DO_NOT_TRACK", "true")
        from mlflow.tracking import MlflowClient

        uri = section.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or section.experiment
        self.client = MlflowClient(tracking_uri=uri)
        found = self.client.get_experiment_by_name(experiment)
        experiment_id = found.experiment_id if found else self.client.create_experiment(experiment)
        continued = os.environ.get("MLFLOW_RUN_ID")
        self.run_id = continued or self.client.create_run(experiment_id, run_name=run_name).info.run_id

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Parameters are immutable in MLflow: on a continued run, those already there are left as they are."""
        from mlflow.entities import Param

        known = self.client.get_run(self.run_id).data.params
        new = [Param(name, str(value)[:MAX_PARAMETER]) for name, value in parameters.items() if name not in known]
        for start in range(0, len(new), BATCH):
            self.client.log_batch(self.run_id, params=new[start : start + BATCH])

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """All figures of a step in one call."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])

    def log_curve(self, name: str, points: Sequence[tuple[int, float]]) -> None:
        """All points in one call, which may hold 1000."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, metrics=[Metric(name, value, now, step) for step, value in points])

    def log_text(self, step: int, name: str, text: str) -> None:
        """As the file samples/NAME/STEP.txt."""
        self.client.log_text(self.run_id, text, f"samples/{name}/{step:07d}.txt")

    def log_file(self, path: Path) -> None:
        """As an artifact."""
        self.client.log_artifact(self.run_id, str(path))

    def close(self, state: str) -> None:
        """End the run with its true status."""
        self.client.set_terminated(self.run_id, status=STATES.get(state, "FAILED"))
