"""report_to: which trackers transformers runs itself."""

from __future__ import annotations

from typing import Any

import pytest

from eterna.config import TrainingSection, config_from_values
from eterna.errors import ConfigError
from eterna.pipeline.plan import make_plan
from eterna.training.arguments import build_arguments


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.integrations import integration_utils

    names = ["mlflow", "tensorboard", "codecarbon", "wandb"]
    monkeypatch.setattr(integration_utils, "get_available_reporting_integrations", lambda: names)


def reported(*names: str) -> list[str]:
    arguments = build_arguments(TrainingSection(output_dir="x", report_to=list(names)), "fp32", has_eval=False)
    return list(arguments.report_to)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["tensorboard", "mlflow"], []),
        (["none"], []),
        (["all"], ["codecarbon", "wandb"]),
        (["all", "wandb"], ["wandb", "codecarbon"]),
        (["mlflow", "wandb"], ["wandb"]),
    ],
)
def test_transformers_runs_the_trackers_that_are_not_eternas(names: list[str], expected: list[str]) -> None:
    assert reported(*names) == expected


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wanbd", r"names 'wanbd', which transformers does not know\n +fix: did you mean 'wandb'\?"),
        ("comet_ml", "names comet_ml, which is not installed"),
    ],
)
def test_a_tracker_that_cannot_run_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        reported("tensorboard", name)


def test_an_unknown_tracker_is_found_before_data_and_model_are_looked_for(run_values: dict[str, Any]) -> None:
    values = {**run_values, "model": {"name": "./nowhere"}, "data": {"train": [{"path": "nowhere.jsonl"}]}}
    values["training"] = {**run_values["training"], "report_to": ["tensorbord"]}
    with pytest.raises(ConfigError, match="did you mean 'tensorboard'"):
        make_plan(config_from_values(values))
