"""The plan knows what the fast path keeps: the same functions, on tensors without storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.fast.models import make
from tests.pipeline.test_train import with_training

from eterna.config import config_from_values
from eterna.fast import FastPath
from eterna.models.tracing import Ledger, trace
from eterna.pipeline.plan import make_plan
from eterna.pipeline.sizing import Batch, _flat_step

BATCH = Batch(4, 120, 200, True, (120, 50, 33, 7), 140)


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("recompute", [False, True])
def test_a_traced_step_keeps_what_a_real_one_keeps(name: str, lora: bool, recompute: bool) -> None:
    def model(device: str) -> tuple[Any, FastPath]:
        with torch.device(device):
            made = make(name, lora, dropout=0.1).train()
        if recompute:
            made.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
        return made, FastPath(made, torch.bfloat16)

    real, path = model("cpu")
    with Ledger(real) as ledger:
        counted = _flat_step(path, real, ledger, BATCH)
    shadow, path = model("meta")
    traced = trace(shadow, lambda ledger: _flat_step(path, shadow, ledger, BATCH))
    assert traced.kept == pytest.approx(counted.kept, rel=0.02)
    assert traced.peak == pytest.approx(counted.peak, rel=0.02)


def test_the_plan_of_a_run_on_the_fast_path_asks_for_less(run_values: dict[str, Any]) -> None:
    plain = make_plan(config_from_values(with_training(run_values, fast_path="off")))
    fast = make_plan(config_from_values(run_values))
    assert fast.size.traced
    assert fast.size.memory.activations < 0.9 * plain.size.memory.activations
    assert fast.size.memory.logits < 0.7 * plain.size.memory.logits
    assert not [note for note in fast.notes if "plain path" in note]


def test_the_plan_says_why_the_plain_path_is_taken(run_values: dict[str, Any], tmp_path: Path) -> None:
    values = with_training(run_values, fast_path="auto", neftune_noise_alpha=5.0)
    assert any(
        "plain path is taken" in note and "neftune" in note for note in make_plan(config_from_values(values)).notes
    )
