"""Settings of trackers, and of replies, that cannot work together."""

from __future__ import annotations

from typing import Any

import pytest

from eterna.config import config_from_values
from eterna.errors import ConfigError


def config(report_to: list[str], **mlflow: Any) -> Any:
    values = {
        "model": {"name": "x"},
        "data": {"train": [{"path": "x.jsonl"}]},
        "training": {"report_to": report_to},
        "tracking": {"mlflow": mlflow},
    }
    return config_from_values(values).config


@pytest.mark.parametrize("report_to", [["mlflow"], ["all"]])
def test_a_model_can_be_registered_where_mlflow_reports(report_to: list[str]) -> None:
    assert config(report_to, register_as="npc").tracking.mlflow.register_as == "npc"


@pytest.mark.parametrize(
    ("report_to", "mlflow", "message"),
    [
        (["tensorboard"], {"register_as": "npc"}, "register_as is given, but training.report_to does not name mlflow"),
        (["mlflow"], {"alias": "latest"}, "which MLflow keeps for itself"),
        (["mlflow"], {"alias": "v2"}, "which MLflow keeps for itself"),
        (["mlflow"], {"register_as": "npc/archivera"}, "register_as"),
        (["none", "mlflow"], {}, "names none beside others"),
    ],
)
def test_what_mlflow_would_refuse_after_the_training_is_refused_before_it(
    report_to: list[str], mlflow: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        config(report_to, **mlflow)


@pytest.mark.parametrize(
    ("temperature", "canon", "message"),
    [
        (0.0, "canon.yaml", "with temperature 0 it is the same each time"),
        (0.7, None, "is for replies that break the canon, but none is given"),
        (0.7, "canon.yaml", None),
    ],
)
def test_a_reply_is_drawn_anew_where_it_can_be_another_and_there_is_a_canon(
    temperature: float, canon: str | None, message: str | None
) -> None:
    values = {
        "model": {"name": "x"},
        "data": {"train": [{"path": "x.jsonl"}]},
        "training": {},
        "evaluation": {"canon": canon},
        "generation": {"temperature": temperature, "redraws": 2},
    }
    if message is None:
        assert config_from_values(values).config.generation.redraws == 2
        return
    with pytest.raises(ConfigError, match=message):
        config_from_values(values)
