"""The same run on a GPU, in the precision that `auto` chooses there."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from eterna.config import config_from_values
from eterna.pipeline.evaluate import evaluate
from eterna.pipeline.train import train

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", ["auto", "fp16", "fp32"])
def test_a_run_trains_checkpoints_and_is_scored_again(run_values: dict[str, Any], precision: str) -> None:
    values = {**run_values, "training": {**run_values["training"], "precision": precision}}
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    assert trained.run.checkpoints()
    scores = evaluate(trained.run.path).scores
    assert all(score.value is not None for score in scores if score.metric == "perplexity")
