"""MLflow through its client: SQLite by default, any server by URI."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eterna.config import MlflowSection
from eterna.errors import ConfigError
from eterna.tracking.registry import register_version

DEFAULT_URI = "sqlite:///mlflow.db"
# MLflow reports usage over the network by default; a training tool must not. The rest keeps it from chatting.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
MAX_PARAMETER = 6000
BATCH = 100
LONGEST_NAME = 250
SAFE_PATH = re.compile(r"[\w:-][\w .:-]*(/[\w:-][\w .:-]*)*", re.ASCII)
STATES = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MlflowTracker:
    """One MLflow run. MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and MLFLOW_RUN_ID are honoured."""

    def __init__(self, run_name: str, section: MlflowSection) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        uri = section.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        check_uri(uri)
        self.section = section
        self.client = MlflowClient(tracking_uri=uri)
        self.run_id = self._continue_run(os.environ.get("MLFLOW_RUN_ID")) or self._create_run(run_name)

    def _continue_run(self, run_id: str | None) -> str | None:
        if run_id:
            self.client.update_run(run_id, status="RUNNING")
        return run_id

    def _create_run(self, run_name: str) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or self.section.experiment
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self.client.create_experiment(name)
        return str(self.client.create_run(experiment, run_name=run_name).info.run_id)

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
        figures = [Metric(safe_path(name), value, now, step) for name, value in metrics.items()]
        self.client.log_batch(self.run_id, metrics=figures)

    def log_curve(self, name: str, points: Sequence[tuple[int, float]]) -> None:
        """All points in one call, which may hold 1000."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, metrics=[Metric(name, value, now, step) for step, value in points])

    def log_text(self, step: int, name: str, text: str) -> None:
        """As the file samples/NAME/STEP.txt."""
        self.client.log_text(self.run_id, text, f"samples/{safe_path(name)}/{step:07d}.txt")

    def log_file(self, path: Path) -> None:
        """As an artifact."""
        self.client.log_artifact(self.run_id, str(path))

    def register_model(self, final: Path, tags: Mapping[str, str]) -> str | None:
        """final/ as a new version of `register_as`, if that is given. Returns what to tell the user."""
        name, alias = self.section.register_as, self.section.alias
        if name is None:
            return None
        version = register_version(self.client, self.run_id, name, alias, final, tags)
        return f"registered in mlflow: models:/{name}@{alias} is version {version}"

    def close(self, state: str) -> None:
        """End the run with its true status."""
        self.client.set_terminated(self.run_id, status=STATES.get(state, "FAILED"))


def check_uri(uri: str) -> None:
    """Refuse a plain folder, as MLflow does, in fewer words. Raises ConfigError."""
    from mlflow.environment_variables import MLFLOW_ALLOW_FILE_STORE
    from mlflow.utils.uri import is_local_uri

    if is_local_uri(uri) and not MLFLOW_ALLOW_FILE_STORE.get():
        raise ConfigError(f"tracking_uri {uri} is a plain folder, MLflow wants a database such as {DEFAULT_URI}")


def safe_path(name: str) -> str:
    """A name of a metric or an artifact; one that MLflow would refuse is spelt otherwise, and stays its own."""
    if SAFE_PATH.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', name)[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
