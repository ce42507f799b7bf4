"""The rough time of a training, from its multiplications."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from eterna.config import config_from_values
from eterna.pipeline import forecast
from eterna.pipeline.plan import make_plan


def test_a_matrix_rate_is_measured_quickly() -> None:
    import time

    begun = time.perf_counter()
    assert forecast.matrix_rate(torch.device("cpu"), "fp32") > 1e8
    assert time.perf_counter() - begun < 2


def test_the_time_grows_with_the_tokens_and_frozen_weights_cost_less(
    run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "matrix_rate", lambda *_: 1e9)
    whole = {key: value for key, value in run_values.items() if key != "lora"}
    lora, full = (make_plan(config_from_values(values)) for values in (run_values, whole))
    tokens = 6 * 4 * sum(len(example.ids) for example in full.data.train) / 12
    expected = tokens * 6 * full.size.parameters / 1e9
    assert full.seconds == pytest.approx((forecast.QUICK * expected, forecast.SLOW * expected))
    assert lora.seconds[0] < 0.75 * full.seconds[0]


def test_the_line_says_that_it_is_rough() -> None:
    said = forecast.describe_time((30, 600))
    assert said == "roughly 0.5 to 10.0 min, evaluations apart; the first steps tell better"
