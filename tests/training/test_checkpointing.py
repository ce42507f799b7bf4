"""Activation checkpointing is one key, changes no gradient, and its saving stands in the plan."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, TrainerCallback

from eterna.config import LoraSection, TrainingSection, config_from_values
from eterna.data import Encoded
from eterna.models import add_lora
from eterna.pipeline.plan import make_plan
from eterna.pipeline.train import train
from eterna.training import EternaTrainer, build_arguments


def first_gradients(folder: Path, tokenizer: Any, out: Path, lora: bool, **settings: Any) -> dict[str, torch.Tensor]:
    """Gradients of the first step, and under `calls` how often a layer was computed."""
    caught: dict[str, torch.Tensor] = {}
    calls = [0]

    class Catch(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
            caught.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    # Before the layer: the second time torch stops as soon as it has what it needs.
    model.model.layers[0].self_attn.register_forward_pre_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))
    if lora:
        model = add_lora(model, LoraSection(r=4, target_modules=["q_proj", "down_proj"], lora_dropout=0.2), seed=0)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.constant_(parameter, 0.01)
    training = TrainingSection(output_dir=str(out), max_steps=1, save_strategy="no", max_grad_norm=0.0, **settings)
    data = [Encoded(f"e{n}", tuple(range(3, 20 + n)), (1.0,) * (17 + n), 1) for n in range(4)]
    made = build_arguments(training, "fp32", False)
    torch.manual_seed(0)
    EternaTrainer(model, made, tokenizer, data, [1.0] * 4, None, [Catch()]).train()
    return {**caught, "calls": torch.tensor(calls[0])}


@pytest.mark.parametrize("kwargs", [{}, {"use_reentrant": False}, {"use_reentrant": True}], ids=str)
@pytest.mark.parametrize("lora", [True, False], ids=["LoRA", "full"])
def test_gradients_are_equal_with_and_without(
    tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path, lora: bool, kwargs: dict[str, Any]
) -> None:
    plain = first_gradients(tiny_model, tiny_tokenizer, tmp_path, lora)
    settings = {"activation_checkpointing": True, "activation_checkpointing_kwargs": kwargs or None}
    light = first_gradients(tiny_model, tiny_tokenizer, tmp_path, lora, **settings)
    assert (int(plain.pop("calls")), int(light.pop("calls"))) == (1, 2)
    assert plain.keys() == light.keys()
    assert len(plain) > 4
    for name, gradient in plain.items():
        torch.testing.assert_close(light[name], gradient, rtol=1e-5, atol=1e-8, msg=name)


@pytest.mark.parametrize(("on", "words"), [(False, "with"), (True, "without")])
def test_its_saving_stands_in_the_plan(run_values: dict[str, Any], on: bool, words: str) -> None:
    out = io.StringIO()
    values = {**run_values, "training": {**run_values["training"], "activation_checkpointing": on}}
    train(config_from_values(values), Console(file=out), dry_run=True)
    (line,) = [line for line in out.getvalue().splitlines() if line.startswith("memory")]
    assert line.endswith(f"MiB of activations {words} activation_checkpointing")


def test_the_saving_is_what_a_trace_of_both_ways_says(run_values: dict[str, Any]) -> None:
    values = {**run_values, "training": {**run_values["training"], "activation_checkpointing": False}}
    plain = make_plan(config_from_values(values)).size
    values["training"]["activation_checkpointing"] = True
    light = make_plan(config_from_values(values)).size
    assert light.memory.activations < plain.memory.activations
    assert plain.other_activations == light.memory.activations
    assert light.other_activations == plain.memory.activations
