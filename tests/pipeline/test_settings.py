"""Settings of transformers that a run takes as they are: each has its effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from eterna.config import config_from_values
from eterna.errors import ConfigError, RunError
from eterna.pipeline.train import Trained, train
from eterna.runs import RunFolder
from eterna.training import EternaTrainer


def run(values: dict[str, Any], resume: bool = False, **training: Any) -> Trained:
    values = {**values, "training": {**values["training"], **training}}
    trained = train(config_from_values(values), Console(quiet=True), resume)
    assert trained is not None
    return trained


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def same(one: Path, other: Path) -> bool:
    left, right = weights(one), weights(other)
    return all(torch.equal(left[name], right[name]) for name in left)


def forget_after(run: RunFolder, step: int) -> None:
    """As if the run had been killed right after a checkpoint."""
    import shutil

    for checkpoint in run.checkpoints():
        if int(checkpoint.name.rpartition("-")[2]) > step:
            shutil.rmtree(checkpoint)
    shutil.rmtree(run.final)
    run.write_status("running", step)


def rows(run: RunFolder, name: str) -> dict[int, float]:
    return {row["step"]: row[name] for row in run.metrics() if name in row}


# A learning rate that ruins the model: the first evaluation in training is the best.
RUINOUS = {
    "learning_rate": 3.0,
    "lr_scheduler_type": "constant",
    "max_grad_norm": 0.0,
    "eval_steps": 1,
    "save_steps": 1,
}


@pytest.fixture
def ruined(run_values: dict[str, Any]) -> Trained:
    return run(run_values, **RUINOUS, max_steps=3, load_best_model_at_end=True, metric_for_best_model="perplexity")


def test_the_best_checkpoint_becomes_the_final_model(ruined: Trained) -> None:
    measured = rows(ruined.run, "eval/perplexity")
    best = min((step for step in measured if step), key=lambda step: measured[step])
    assert same(ruined.run.final, ruined.run.path / f"checkpoint-{best}")
    assert same(ruined.run.final, ruined.run.path / "checkpoint-3") == (best == 3)


def test_the_scores_are_those_of_the_best_checkpoint(ruined: Trained) -> None:
    measured = rows(ruined.run, "eval/perplexity")
    tuned = next(s for s in ruined.scores if s.metric == "perplexity" and s.system == "tuned")
    assert tuned.value == pytest.approx(min(value for step, value in measured.items() if step), rel=1e-6)


def test_save_strategy_best_writes_a_checkpoint_only_when_it_is_better(run_values: dict[str, Any]) -> None:
    trained = run(run_values, **RUINOUS, save_strategy="best", metric_for_best_model="loss")
    measured = rows(trained.run, "eval/loss")
    better = [step for step in range(1, 7) if measured[step] == min(measured[n] for n in range(1, step + 1))]
    assert len(better) < 6
    assert [int(path.name.rpartition("-")[2]) for path in trained.run.checkpoints()] == better


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The lengths of the examples of each optimizer step."""
    steps: list[list[int]] = []
    batches_of = EternaTrainer.get_batch_samples

    def noted(self: Any, *arguments: Any) -> Any:
        batches, sums = batches_of(self, *arguments)
        steps.append([int(length) for batch in batches for length in batch["attention_mask"].sum(1)])
        return batches, sums

    monkeypatch.setattr(EternaTrainer, "get_batch_samples", noted)
    return steps


def lengths_in_file(values: dict[str, Any]) -> list[int]:
    from eterna.pipeline.plan import make_plan

    return [len(example.ids) for example in make_plan(config_from_values(values)).data.train]


def test_sequential_takes_the_examples_as_they_stand(run_values: dict[str, Any], seen: list[list[int]]) -> None:
    run(run_values, train_sampling_strategy="sequential", max_steps=3)
    assert [length for step in seen for length in step] == lengths_in_file(run_values)


@pytest.mark.parametrize("strategy", ["group_by_length", "batch_rebalance"])
def test_lengths_are_brought_together_and_every_example_is_seen_once(
    run_values: dict[str, Any], seen: list[list[int]], strategy: str
) -> None:
    run(run_values, train_sampling_strategy=strategy, num_train_epochs=1)
    assert sorted(length for step in seen for length in step) == sorted(lengths_in_file(run_values))


@pytest.mark.parametrize("strategy", ["group_by_length", "batch_rebalance"])
def test_an_order_by_length_is_resumed_exactly(run_values: dict[str, Any], tmp_path: Path, strategy: str) -> None:
    whole = run(run_values, train_sampling_strategy=strategy)
    cut = {"train_sampling_strategy": strategy, "output_dir": str(tmp_path / "cut")}
    forget_after(run(run_values, **cut).run, 4)
    assert same(run(run_values, resume=True, **cut).run.final, whole.run.final)


def test_a_batch_that_does_not_fit_is_made_smaller(run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    loss_of, most = EternaTrainer.compute_loss, 3 * max(lengths_in_file(run_values))

    def small_memory(self: Any, model: Any, inputs: Any, *rest: Any, **settings: Any) -> Any:
        if sum(inputs["segments"].lengths) > most:
            raise RuntimeError("CUDA out of memory.")
        return loss_of(self, model, inputs, *rest, **settings)

    monkeypatch.setattr(EternaTrainer, "compute_loss", small_memory)
    settings = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_train_epochs": 1}
    trained = run(run_values, auto_find_batch_size=True, **settings)
    assert trained.run.status()["step"] == 2
    tokens = rows(trained.run, "train/tokens")
    assert tokens[2] == sum(lengths_in_file(run_values))


def test_resume_from_checkpoint_true_is_the_same_as_resume(run_values: dict[str, Any], tmp_path: Path) -> None:
    whole = run(run_values)
    forget_after(run(run_values, output_dir=str(tmp_path / "cut")).run, 4)
    resumed = run(run_values, output_dir=str(tmp_path / "cut"), resume_from_checkpoint=True)
    assert same(resumed.run.final, whole.run.final)


def test_resume_from_checkpoint_takes_an_older_one_by_its_path(run_values: dict[str, Any], tmp_path: Path) -> None:
    whole = run(run_values)
    cut = run(run_values, output_dir=str(tmp_path / "cut"))
    cut.run.write_status("running", 6)
    path = str(cut.run.path / "checkpoint-2")
    resumed = run(run_values, output_dir=str(tmp_path / "cut"), resume_from_checkpoint=path)
    assert same(resumed.run.final, whole.run.final)
    assert [row["step"] for row in resumed.run.metrics() if "train/loss" in row] == [1, 2, 3, 4, 5, 6]


def test_a_run_can_begin_from_a_checkpoint_of_another(run_values: dict[str, Any], tmp_path: Path) -> None:
    whole = run(run_values)
    path = str(whole.run.path / "checkpoint-4")
    other = run(run_values, output_dir=str(tmp_path / "other"), resume_from_checkpoint=path)
    assert same(other.run.final, whole.run.final)
    assert list(rows(other.run, "train/loss")) == [5, 6]
    assert all(score.value is not None for score in other.scores if score.metric == "perplexity")


def test_a_path_that_is_no_checkpoint_is_refused(run_values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no checkpoint"):
        run(run_values, resume_from_checkpoint=str(tmp_path))


def test_a_used_folder_goes_on_from_its_own_checkpoints_only(run_values: dict[str, Any], tmp_path: Path) -> None:
    one = run(run_values, max_steps=2)
    two = run(run_values, max_steps=2, output_dir=str(tmp_path / "two"))
    two.run.write_status("running", 2)
    with pytest.raises(RunError, match="belongs to another run"):
        path = str(one.run.path / "checkpoint-2")
        run(run_values, max_steps=2, output_dir=str(tmp_path / "two"), resume_from_checkpoint=path)


def test_a_checkpoint_of_the_model_alone_cannot_be_resumed(run_values: dict[str, Any]) -> None:
    trained = run(run_values, save_only_model=True, max_steps=2)
    assert not (trained.run.checkpoints()[-1] / "optimizer.pt").exists()
    trained.run.write_status("running", 2)
    with pytest.raises(RunError, match="holds the model only"):
        run(run_values, resume=True, save_only_model=True, max_steps=2)


def test_ignore_data_skip_begins_the_epoch_again(
    run_values: dict[str, Any], tmp_path: Path, seen: list[list[int]]
) -> None:
    forget_after(run(run_values, max_steps=4).run, 2)
    first, seen[:] = list(seen), []
    run(run_values, resume=True, max_steps=4, ignore_data_skip=True)
    assert seen[0] == first[0]
    assert first[0] != first[2]


def test_noise_in_the_embeddings_changes_the_training(run_values: dict[str, Any], tmp_path: Path) -> None:
    plain = run(run_values, max_steps=1)
    noisy = run(run_values, max_steps=1, output_dir=str(tmp_path / "noisy"), neftune_noise_alpha=50.0)
    assert not same(plain.run.final, noisy.run.final)
    assert rows(plain.run, "eval/loss")[0] == rows(noisy.run, "eval/loss")[0]


def test_data_seed_alone_decides_the_order(run_values: dict[str, Any], tmp_path: Path, seen: list[list[int]]) -> None:
    run(run_values, num_train_epochs=1, data_seed=11)
    first, seen[:] = list(seen), []
    run(run_values, num_train_epochs=1, data_seed=11, seed=99, output_dir=str(tmp_path / "b"))
    assert seen == first
    seen.clear()
    run(run_values, num_train_epochs=1, data_seed=12, output_dir=str(tmp_path / "c"))
    assert seen != first


@pytest.mark.parametrize(("strategy", "steps"), [("random", 2), ("batch_rebalance", 1)])
def test_an_incomplete_batch_is_left_out_of_the_steps(run_values: dict[str, Any], strategy: str, steps: int) -> None:
    """12 examples: two batches of 5, or one step of 2 x 5."""
    from eterna.pipeline.plan import make_plan

    settings = {"per_device_train_batch_size": 5, "gradient_accumulation_steps": 1, "num_train_epochs": 1}
    if strategy == "batch_rebalance":
        settings |= {"gradient_accumulation_steps": 2}
    asked = {**settings, "dataloader_drop_last": True, "train_sampling_strategy": strategy}
    values = {**run_values, "training": {**run_values["training"], **asked}}
    assert make_plan(config_from_values(values)).steps == steps
    assert run(run_values, **asked).run.status()["step"] == steps


def test_dropping_every_batch_is_noticed(run_values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no optimizer step"):
        run(run_values, per_device_train_batch_size=13, dataloader_drop_last=True)


def test_an_evaluation_can_wait(run_values: dict[str, Any]) -> None:
    assert list(rows(run(run_values, eval_delay=4).run, "eval/loss")) == [0, 4, 6]


def test_no_logging_leaves_no_losses(run_values: dict[str, Any]) -> None:
    assert rows(run(run_values, max_steps=2, logging_strategy="no").run, "train/loss") == {}


def test_tokens_seen_are_counted_by_transformers_too(run_values: dict[str, Any]) -> None:
    import json

    trained = run(run_values, max_steps=2, include_num_input_tokens_seen="non_padding")
    state = json.loads((trained.run.checkpoints()[-1] / "trainer_state.json").read_text(encoding="utf-8"))
    assert state["num_input_tokens_seen"] == rows(trained.run, "train/tokens")[2]


def test_the_bar_can_be_turned_off(run_values: dict[str, Any]) -> None:
    import io

    def written(**training: Any) -> str:
        out = io.StringIO()
        values = {**run_values, "training": {**run_values["training"], "max_steps": 1, **training}}
        train(config_from_values(values), Console(file=out, force_terminal=True, width=200))
        return out.getvalue()

    folder = run_values["training"]["output_dir"]
    assert "━" in written(output_dir=f"{folder}-a")
    assert "━" not in written(output_dir=f"{folder}-b", disable_tqdm=True)


def test_the_run_s_name_is_the_tracker_s(run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import eterna.pipeline.train as module

    names: list[str] = []
    opened = module.open_trackers
    monkeypatch.setattr(module, "open_trackers", lambda *all_of: names.append(all_of[2]) or opened(*all_of))
    run(run_values, max_steps=1, run_name="the second try")
    assert names == ["the second try"]
