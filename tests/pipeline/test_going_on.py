"""What a resumed run keeps, what it rewrites, and what the status says on the way."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.pipeline.test_train import forget_after, run, with_training
from transformers import TrainerCallback

from eterna.config import config_from_values
from eterna.errors import ConfigError, RunError
from eterna.pipeline.plan import make_plan
from eterna.pipeline.resuming import config_differences
from eterna.pipeline.train import train
from eterna.runs import RunFolder


@pytest.fixture
def quick(run_values: dict[str, Any]) -> dict[str, Any]:
    """Without replies: their scores take longer than the training."""
    return {**run_values, "evaluation": {"metrics": ["perplexity"], "probes": 0}}


def test_a_resumed_run_records_the_settings_it_goes_on_with(quick: dict[str, Any]) -> None:
    forget_after(run(quick).run, 4)
    changed = {**with_training(quick, save_steps=3), "generation": {"max_new_tokens": 5}}
    folder = run(changed, resume=True).run
    assert (folder.config().training.save_steps, folder.config().generation.max_new_tokens) == (3, 5)
    assert "max_new_tokens: 5" in (folder.path / "run.yaml").read_text(encoding="utf-8")


def test_held_out_data_that_changed_is_refused_too(quick: dict[str, Any], chat_file: Path, tmp_path: Path) -> None:
    held_out = tmp_path / "held_out.jsonl"
    held_out.write_bytes(chat_file.read_bytes())
    values = {**quick, "data": {**quick["data"], "eval": [{"path": str(held_out)}]}}
    forget_after(run(values).run, 4)
    held_out.write_text(held_out.read_text(encoding="utf-8").replace("lamps", "lights"), encoding="utf-8")
    with pytest.raises(RunError, match=r"held_out\.jsonl has changed since the run began"):
        run(values, resume=True)


def test_tokens_go_on_from_the_checkpoint_not_from_the_last_log_line(quick: dict[str, Any], tmp_path: Path) -> None:
    """Logged at steps 1, 3 and 6, saved at 2 and 4."""
    sparse = with_training(quick, logging_steps=3)
    whole = run(sparse).run
    cut_values = with_training(sparse, output_dir=str(tmp_path / "cut"))
    cut = run(cut_values).run
    forget_after(cut, 4)
    run(cut_values, resume=True)
    one, two = (
        {row["step"]: row["train/tokens"] for row in each.metrics() if "train/tokens" in row} for each in (whole, cut)
    )
    assert one == two
    assert list(one) == [1, 3, 6]


def test_a_checkpoint_that_does_not_count_tokens_goes_on_from_the_log(quick: dict[str, Any], tmp_path: Path) -> None:
    cut = run(quick).run
    before = {row["step"]: row["train/tokens"] for row in cut.metrics() if "train/tokens" in row}
    forget_after(cut, 4)
    (cut.path / "checkpoint-4" / "tokens_seen.json").unlink()
    run(quick, resume=True)
    assert before == {row["step"]: row["train/tokens"] for row in cut.metrics() if "train/tokens" in row}


def test_differences_are_listed_in_the_same_order_always(run_values: dict[str, Any]) -> None:
    old = config_from_values(run_values).config
    data = {**run_values["data"], "max_length": 100}
    changed = {**with_training(run_values, seed=9), "data": data, "world": "eterna:biblioteca", "lora": {"r": 2}}
    lines = config_differences(old, config_from_values(changed).config)
    sections = [line.partition(".")[0].partition(" ")[0] for line in lines]
    assert sections == sorted(sections)
    assert set(sections) == {"data", "lora", "training", "world"}


class _AtStep(TrainerCallback):  # type: ignore[misc]
    """Does something when a step has ended, or when training has."""

    def __init__(self, step: int, act: Any, at_end: bool = False) -> None:
        self.step, self.act, self.at_end = step, act, at_end

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if not self.at_end and state.global_step == self.step:
            self.act()

    def on_train_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if self.at_end:
            self.act()


def with_callback(monkeypatch: pytest.MonkeyPatch, callback: TrainerCallback) -> None:
    from eterna.pipeline.train import _Training

    monkeypatch.setattr(_Training, "_early_stopping", lambda self: [callback])


def test_the_status_names_the_last_step_while_it_runs(quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, seen = RunFolder(Path(quick["training"]["output_dir"])), []
    with_callback(monkeypatch, _AtStep(5, lambda: seen.append(folder.status())))
    run(quick)
    assert [(status["state"], status["step"]) for status in seen] == [("running", 4)]


def test_the_status_of_a_resumed_run_begins_at_its_checkpoint(
    quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import eterna.training as module

    folder = run(quick).run
    forget_after(folder, 4)
    seen = []

    def broken(*arguments: Any, **settings: Any) -> None:
        seen.append(folder.status())
        raise ValueError("the trainer cannot be built")

    monkeypatch.setattr(module, "EternaTrainer", broken)
    with pytest.raises(ValueError, match="cannot be built"):
        run(quick, resume=True)
    assert [(one["state"], one["step"]) for one in (*seen, folder.status())] == [("running", 4), ("failed", 4)]


def test_a_trainer_that_cannot_be_built_closes_the_trackers(
    quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import eterna.training as module
    from eterna.tracking import Trackers

    closed: list[str] = []
    monkeypatch.setattr(Trackers, "close", lambda self, state: closed.append(state))

    def broken(*arguments: Any, **settings: Any) -> None:
        raise ValueError("the trainer cannot be built")

    monkeypatch.setattr(module, "EternaTrainer", broken)
    with pytest.raises(ValueError, match="cannot be built"):
        run(quick)
    assert closed == ["failed"]


@pytest.mark.parametrize(
    ("save_steps", "words"),
    [(100, "no checkpoint was saved yet; --resume begins it again"), (3, "the newest checkpoint is of step 3; go on")],
)
def test_a_signal_after_the_last_step_does_not_claim_a_checkpoint(
    quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Any, save_steps: int, words: str
) -> None:
    with_callback(monkeypatch, _AtStep(0, lambda: signal.raise_signal(signal.SIGINT), at_end=True))
    monkeypatch.setattr("transformers.trainer_callback.DefaultFlowCallback.on_step_end", only_at(save_steps))
    values = with_training(quick, max_steps=4, save_steps=save_steps)
    trained = train(config_from_values(values), Console(width=200))
    assert trained is not None
    assert trained.exit_code == 130
    assert f"stopped at step 4, {words}" in capsys.readouterr().out


def only_at(every: int) -> Any:
    """transformers' own flow, without the checkpoint that it always writes at the last step."""

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> Any:
        control.should_save = state.global_step % every == 0
        control.should_training_stop = state.global_step >= state.max_steps
        return control

    return on_step_end


def test_a_run_without_a_whole_batch_is_refused_even_with_max_steps(quick: dict[str, Any]) -> None:
    asked = {"per_device_train_batch_size": 13, "dataloader_drop_last": True, "max_steps": 5}
    with pytest.raises(ConfigError, match="12 examples a pass are fewer than a batch"):
        make_plan(config_from_values(with_training(quick, **asked)))


def test_the_batch_of_several_gpus_in_one_process_is_counted_as_one(
    quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import TrainingArguments

    assert make_plan(config_from_values(quick)).steps == 6
    monkeypatch.setattr(TrainingArguments, "train_batch_size", property(lambda self: 4))  # 2 on each of two GPUs
    assert make_plan(config_from_values(quick)).steps == 4  # 3 batches an epoch are 2 steps


def test_a_copy_of_a_checkpoint_holds_no_count_of_tokens(quick: dict[str, Any], tmp_path: Path) -> None:
    from eterna.pipeline.save import save

    checkpoint = run(quick).run.checkpoints()[0]
    assert json.loads((checkpoint / "tokens_seen.json").read_text(encoding="utf-8"))["tokens"] > 0
    copied = save(checkpoint, tmp_path / "copy")
    assert "tokens_seen.json" not in {item.name for item in copied.iterdir()}
