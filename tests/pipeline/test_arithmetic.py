"""Base and tuned are measured in the same arithmetic, and in the one that `eterna eval` uses where it can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from eterna.config import config_from_values
from eterna.models import add_lora, held_as, load_model
from eterna.pipeline.evaluate import evaluate
from eterna.pipeline.measuring import base_of
from eterna.pipeline.train import train

QUICK = {"metrics": ["perplexity", "rouge"], "samples": 2, "probes": 0}


def in_bf16(values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    training = {**values["training"], "precision": "bf16", "use_cpu": True, "max_steps": 2}
    return {**values, "training": training, "evaluation": QUICK, **changes}


def weights(folder: Path) -> torch.Tensor:
    """All weights of the model in `folder` as one vector, in the order of their names."""
    tensors = load_file(folder / "model.safetensors")
    return torch.cat([tensors[name].double().flatten() for name in sorted(tensors)])


def test_full_fine_tuning_in_bf16_scores_as_eval_does(run_values: dict[str, Any]) -> None:
    """Training runs under autocast; the scores must not, or the tuned model alone would be rounded."""
    trained = train(config_from_values(in_bf16(run_values, lora=None)), Console(quiet=True))
    assert trained is not None
    again = evaluate(trained.run.path).scores
    assert [score.signature for score in trained.scores] == [score.signature for score in again]
    for one, other in zip(trained.scores, again, strict=True):
        assert (one.value is None) == (other.value is None)
        if one.value is not None:
            assert one.value == pytest.approx(other.value, rel=1e-6, abs=1e-6), (one.metric, one.system)
    assert {"held:float32"} == {part for score in again for part in score.signature.split("|") if "held:" in part}


@pytest.mark.parametrize("path", ["auto", "off"])
def test_training_itself_stays_in_bf16(run_values: dict[str, Any], tmp_path: Path, path: str) -> None:
    """The negative control of the test above; an evaluation on the way measures as the scores do."""
    start = weights(Path(run_values["model"]["name"]))
    losses: dict[str, float] = {}
    moved: dict[str, torch.Tensor] = {}
    for precision in ("bf16", "fp32"):
        values = in_bf16(run_values, lora=None)
        values["training"] |= {"precision": precision, "fast_path": path, "output_dir": str(tmp_path / precision)}
        trained = train(config_from_values(values), Console(quiet=True))
        assert trained is not None
        rows = trained.run.metrics()
        losses[precision] = next(row["train/loss"] for row in rows if row["step"] == 1 and "train/loss" in row)
        moved[precision] = weights(trained.run.final) - start
        logged = next(row["eval/perplexity"] for row in rows if row["step"] == 0)
        score = next(one for one in trained.scores if (one.metric, one.system) == ("perplexity", "base"))
        assert logged == pytest.approx(score.value, rel=1e-6)
    # Every weight's way, not one loss: that can be the same to its last digits by chance.
    assert (moved["bf16"] - moved["fp32"]).norm() > 1e-3 * moved["fp32"].norm()
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=1e-2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_base_loaded_again_is_held_as_the_tuned_model_is(run_values: dict[str, Any], precision: str) -> None:
    values = in_bf16(run_values, lora={**run_values["lora"], "bias": "all"})
    config = config_from_values(values).config
    assert config.lora is not None
    tuned = add_lora(load_model(config.model, precision, 0, train_all=False), config.lora, 0)
    with base_of(config, tuned, precision) as base:
        assert base is not tuned
        assert held_as(base) == held_as(tuned) == {"fp32": "float32", "bf16": "bfloat16"}[precision]


def test_adapters_in_bf16_are_said_to_be_held_so(run_values: dict[str, Any]) -> None:
    trained = train(config_from_values(in_bf16(run_values)), Console(quiet=True))
    assert trained is not None
    assert all("|held:bfloat16|" in score.signature for score in trained.scores)
    base = load_model(config_from_values(run_values).config.model, "bf16", 0, train_all=False)
    assert next(base.parameters()).dtype == torch.bfloat16
