"""--dry-run on a machine that cannot do the run, and the guide's own recipe."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from eterna.config import config_from_values, load_config
from eterna.errors import ModelError, UserError
from eterna.pipeline.train import train

GUIDE = Path(__file__).parents[2] / "recipes" / "guide.yaml"


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)


def dry_run(loaded: Any) -> str:
    out = io.StringIO()
    assert train(loaded, Console(file=out, width=200), dry_run=True) is None
    return out.getvalue()


def test_the_guides_recipe_is_planned_without_network_or_gpu(tmp_path: Path) -> None:
    said = dry_run(load_config(GUIDE))
    assert "7,241,732,096 parameters, 3,407,872 trained (0.05%), LoRA r=8" in said
    assert "500 steps of warm-up: longer than the run" in said
    assert "this machine cannot do it" in said
    assert "training.fp16 asks for fp16, but there is no GPU here" in said
    assert "'mistralai/Mistral-7B-v0.1' is not in the local cache" in said
    assert not list(tmp_path.iterdir())


def test_the_guides_recipe_does_not_train_without_a_gpu() -> None:
    with pytest.raises(ModelError, match=r"guide.yaml:\d+:3: training.fp16 asks for fp16") as caught:
        train(load_config(GUIDE), Console(quiet=True))
    assert "training.precision: auto" in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_unknown_model_out_of_reach_is_planned_without_its_size(run_values: dict[str, Any]) -> None:
    said = dry_run(config_from_values({**run_values, "model": {"name": "some/model"}}))
    assert "some/model: its size is not known here" in said
    assert "12 examples" in said
    assert "'some/model' is not in the local cache" in said


def test_a_model_past_the_memory_is_said(run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eterna.pipeline.outline.free_memory", lambda _: (1000, "memory"))
    assert "GiB of memory is free" in dry_run(config_from_values(run_values))
    monkeypatch.setattr("eterna.pipeline.outline.free_memory", lambda _: (2**40, "memory"))
    assert "cannot do it" not in dry_run(config_from_values(run_values))


def test_a_mistake_of_the_user_is_still_one(run_values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        dry_run(config_from_values({**run_values, "model": {"name": "./nowhere"}}))


def test_the_shapes_known_without_the_hub_have_the_published_sizes() -> None:
    from transformers import AutoModelForCausalLM

    from eterna.models.known import known_shape

    sizes = {
        "mistralai/Mistral-7B-v0.1": 7_241_732_096,
        "HuggingFaceTB/SmolLM2-135M": 134_515_008,
        "gpt2": 124_439_808,
    }
    for name, size in sizes.items():
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(known_shape(name))
        assert sum(parameter.numel() for parameter in model.parameters()) == size
    assert known_shape("nobody/knows") is None
