"""Optimizer steps on the fast path: how they are filled, and that training on it is training."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.fast.models import examples, make
from tests.pipeline.test_processes import STEADY, adapter, same, written
from tests.pipeline.test_train import forget_after, losses, run, weights, with_training
from tests.training.test_trainer import examples as unequal
from tests.training.test_trainer import fresh_model, step_gradients, worst_error

from eterna.config import TrainingSection, config_from_values
from eterna.data import Encoded
from eterna.data.batches import Collator
from eterna.errors import TrainingFailedError
from eterna.fast import FastPath, fill
from eterna.pipeline.train import train
from eterna.runs import RunFolder
from eterna.training import EternaTrainer, build_arguments, fast_path_of
from eterna.training.micro_batches import without_padding


@given(st.lists(st.integers(1, 300), max_size=40), st.integers(1, 400))
def test_every_example_goes_into_one_micro_batch(lengths: list[int], budget: int) -> None:
    filled = fill(lengths, budget)
    assert sorted(place for batch in filled for place in batch) == list(range(len(lengths)))
    for batch in filled:
        assert batch
        assert len(batch) == 1 or sum(lengths[place] for place in batch) <= budget
    for one, other in pairwise(filled):
        assert sum(lengths[place] for place in one) + lengths[other[0]] > budget


def test_the_last_micro_batch_holds_all_parts() -> None:
    data = examples()
    padded = [Collator(0)(data[:2]), Collator(0)(data[2:])]
    first, last = without_padding(padded, budget=128)
    assert first["parts"] == []
    assert [part["segments"].lengths for part in last["parts"]] == [(120, 7), (50, 33)]
    assert int(first["attention_mask"].sum() + last["attention_mask"].sum()) == 50 + 7 + 120 + 33
    part = last["parts"][1]
    assert part["input_ids"].shape == (1, 128)
    assert part["input_ids"][0, :50].tolist() == list(data[0].ids)
    assert part["position_ids"][0, 48:53].tolist() == [48, 49, 0, 1, 2]
    learnt = part["weights"] > 0
    assert part["targets"][learnt].tolist() == list(data[0].ids[16:]) + list(data[3].ids[11:])
    assert part["keep"][learnt].tolist() == [*range(15, 49), *range(60, 82)]
    assert part["weights"][learnt].tolist() == list(data[0].weights[16:]) + list(data[3].weights[11:])
    assert len(learnt) == 64
    assert part["keep"].unique().tolist() == part["keep"].tolist()


def test_a_process_without_examples_takes_part_with_nothing() -> None:
    nothing = Encoded("x", (5, 6), (0.0, 0.0), 0)
    (batch,) = without_padding([Collator(0)([nothing])], budget=128)
    (part,) = batch["parts"]
    model = make("llama", lora=True)
    with FastPath(model, torch.float32).lent():
        loss = model(**part).loss
        loss.backward()
    assert loss.item() == 0.0
    assert all(not one.grad.any() for one in model.parameters() if one.requires_grad)


class Fast(EternaTrainer):
    """The trainer on its fast path."""

    def __init__(self, model: Any, arguments: Any, *rest: Any) -> None:
        super().__init__(model, arguments, *rest, fast=FastPath(model, torch.float32))

    def _token_budget(self, device: torch.device) -> int:
        return 64  # several parts in a step of these examples


@pytest.mark.parametrize(("batch", "accumulation"), [(8, 1), (4, 2), (1, 8)])
def test_gradients_of_a_step_are_those_of_the_plain_path(
    tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path, batch: int, accumulation: int
) -> None:
    plain = step_gradients(tiny_model, tiny_tokenizer, tmp_path / "a", 8, 1)
    fast = step_gradients(tiny_model, tiny_tokenizer, tmp_path / "b", batch, accumulation, Fast)
    assert worst_error(plain, fast) <= 1e-5


def test_a_part_that_were_left_out_would_be_noticed(tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    class Forgetful(Fast):
        def _without_padding(self, model: Any, parts: list[Any], count: Any) -> torch.Tensor:
            return super()._without_padding(model, parts[1:], count)

    plain = step_gradients(tiny_model, tiny_tokenizer, tmp_path / "a", 8, 1)
    fast = step_gradients(tiny_model, tiny_tokenizer, tmp_path / "b", 4, 2, Forgetful)
    assert worst_error(plain, fast) > 1e-2


def test_a_loss_that_is_not_a_number_stops_before_the_weights_change(
    tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    class Poisoned(Fast):
        def compute_loss(self, *arguments: Any, **settings: Any) -> Any:
            return super().compute_loss(*arguments, **settings) * float("nan")

    with pytest.raises(TrainingFailedError, match="step 1"):
        step_gradients(tiny_model, tiny_tokenizer, tmp_path, 8, 1, Poisoned)


def test_two_hundred_steps_follow_the_plain_path(tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    curves = []
    for kind in (EternaTrainer, Fast):
        training = TrainingSection(
            output_dir=str(tmp_path), max_steps=200, per_device_train_batch_size=4, learning_rate=2e-3,
            logging_steps=1, save_strategy="no",
        )  # fmt: skip
        arguments = build_arguments(training, "fp32", has_eval=False)
        data = unequal()
        trainer = kind(fresh_model(tiny_model), arguments, tiny_tokenizer, data, [1.0] * len(data), None)
        trainer.train()
        curves.append([row["loss"] for row in trainer.state.log_history if "loss" in row])
    plain, fast = curves
    assert len(plain) == 200
    assert plain[-1] < 0.7 * plain[0]
    assert fast == pytest.approx(plain, rel=0.005)


def on_fast_path(values: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return with_training(values, fast_path="auto", **settings)


@pytest.mark.parametrize("last_kept", [2, 4])
def test_a_run_that_was_cut_and_resumed_ends_with_the_same_bits(
    run_values: dict[str, Any], tmp_path: Path, last_kept: int
) -> None:
    """Dropout is on: its seeds come from the random state that the checkpoint keeps."""
    assert run_values["lora"]["lora_dropout"] > 0
    whole = run(on_fast_path(run_values))
    values = on_fast_path(run_values, output_dir=str(tmp_path / "cut"))
    forget_after(run(values).run, last_kept)
    resumed = run(values, resume=True)
    assert losses(whole.run) == losses(resumed.run)
    one, other = weights(whole.run.final), weights(resumed.run.final)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_resumed_with_other_kernels_says_so(
    run_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = run(run_values).run
    assert begun.environment()["arithmetic"] == "fast path by compiled kernels"
    forget_after(begun, 4)
    monkeypatch.setattr("eterna.fast.rows.find_kernels", lambda half: None)
    capsys.readouterr()
    train(config_from_values(run_values), Console(width=200), resume=True)
    said = "the run began on the fast path by compiled kernels and goes on on the fast path by torch"
    assert said in capsys.readouterr().out


def test_two_processes_train_as_one(run_values: dict[str, Any], chat_file: Path, tmp_path: Path, launch: Any) -> None:
    """Eleven examples, 4 in a step: in the last step one process has a single example."""
    chat_file.write_text("".join(chat_file.read_text(encoding="utf-8").splitlines(keepends=True)[:11]))
    values = {**with_training(run_values, **STEADY), "lora": {**run_values["lora"], "lora_dropout": 0.0}}
    both = on_fast_path(values, per_device_train_batch_size=1, output_dir=str(tmp_path / "two"))
    done = launch("-m", "eterna", "train", written(both, tmp_path / "two.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    one, two = run(with_training(values, fast_path="off")).run, RunFolder(tmp_path / "two")
    assert [loss for _, loss in losses(two)] == pytest.approx([loss for _, loss in losses(one)], rel=1e-5)
    assert same(adapter(one.final), adapter(two.final), 1e-4)


@pytest.mark.parametrize(
    ("setting", "said"), [({"torch_compile": True}, "torch_compile"), ({"neftune_noise_alpha": 5.0}, "neftune")]
)
def test_a_setting_that_changes_the_model_takes_the_plain_path(
    tiny_model: Path, tmp_path: Path, setting: dict[str, Any], said: str
) -> None:
    arguments = build_arguments(TrainingSection(output_dir=str(tmp_path), **setting), "fp32", has_eval=False)
    assert said in str(fast_path_of(fresh_model(tiny_model), arguments))


def test_a_gpu_takes_the_plain_path(tiny_model: Path, tmp_path: Path) -> None:
    arguments = build_arguments(TrainingSection(output_dir=str(tmp_path)), "fp32", has_eval=False)
    arguments.__dict__["_setup_devices"] = torch.device("cuda")
    assert "GPU" in str(fast_path_of(fresh_model(tiny_model), arguments))
    assert isinstance(fast_path_of(fresh_model(tiny_model), arguments, on_gpu=True), FastPath)
