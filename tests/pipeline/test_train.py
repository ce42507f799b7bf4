"""A run from its file to its folder: records, checkpoints, exact resume, refusal to spoil another run."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from eterna.config import config_from_values
from eterna.config.writing import to_yaml
from eterna.errors import RunError, UserError
from eterna.pipeline.train import Trained, train
from eterna.runs import RunFolder


def run(values: dict[str, Any], resume: bool = False) -> Trained:
    trained = train(config_from_values(values), Console(quiet=True), resume)
    assert trained is not None
    return trained


def with_training(values: dict[str, Any], **training: Any) -> dict[str, Any]:
    return {**values, "training": {**values["training"], **training}}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def test_a_run_leaves_every_record(run_values: dict[str, Any]) -> None:
    trained = run(run_values)
    folder = trained.run.path
    names = {item.name for item in folder.iterdir()}
    wanted = {"run.yaml", "resolved.yaml", "environment.json", "data.json", "metrics.jsonl", "samples.jsonl"}
    assert wanted | {"scores.json", "status.json", "report.html", "final", "checkpoint-2", "checkpoint-6"} <= names
    assert trained.run.status()["state"] == "finished"
    assert [row["step"] for row in trained.run.metrics() if "train/loss" in row] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in trained.run.metrics() if "eval/loss" in row] == [0, 2, 4, 6]
    assert {row["step"] for row in trained.run.samples()} == {0, 2, 4, 6}
    assert trained.run.data()["sources"][0]["examples"] == 12


def test_training_lowers_the_loss_on_what_it_trained(run_values: dict[str, Any]) -> None:
    trained = run(with_training(run_values, num_train_epochs=4, learning_rate=1e-2))
    difference = next(s for s in trained.scores if s.metric == "perplexity" and s.system == "difference")
    assert difference.value is not None
    assert difference.high is not None
    assert difference.high < 0


def test_the_same_run_twice_gives_the_same_bits(run_values: dict[str, Any], tmp_path: Path) -> None:
    one = weights(run(run_values).run.final)
    other = weights(run(with_training(run_values, output_dir=str(tmp_path / "again"))).run.final)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_another_seed_gives_other_weights(run_values: dict[str, Any], tmp_path: Path) -> None:
    one = weights(run(run_values).run.final)
    other = weights(run(with_training(run_values, output_dir=str(tmp_path / "again"), seed=4)).run.final)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("last_kept", "changed"),
    [(2, {}), (4, {}), (2, {"optim": "muon"})],
    ids=["in the first epoch", "in the second epoch", "muon"],
)
def test_a_run_that_was_cut_and_resumed_ends_with_the_same_bits(
    run_values: dict[str, Any], tmp_path: Path, last_kept: int, changed: dict[str, Any]
) -> None:
    """12 examples of 2 x 2 are 3 steps an epoch: both cuts fall inside an epoch; dropout is on."""
    whole = run(with_training(run_values, **changed))
    cut_values = with_training(run_values, output_dir=str(tmp_path / "cut"), **changed)
    cut = run(cut_values)
    forget_after(cut.run, last_kept)
    resumed = run(cut_values, resume=True)
    one, other = weights(whole.run.final), weights(resumed.run.final)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert losses(whole.run) == losses(resumed.run)


def forget_after(folder: RunFolder, step: int) -> None:
    """Make a finished run look as if it had been killed right after a checkpoint."""
    import shutil

    for checkpoint in folder.checkpoints():
        if int(checkpoint.name.rpartition("-")[2]) > step:
            shutil.rmtree(checkpoint)
    shutil.rmtree(folder.final)
    folder.write_status("running", step)


def losses(folder: RunFolder) -> list[tuple[int, float]]:
    return [(row["step"], row["train/loss"]) for row in folder.metrics() if "train/loss" in row]


def test_resuming_with_another_order_would_be_noticed(run_values: dict[str, Any], tmp_path: Path) -> None:
    """The negative control of the test above: another epoch's order gives other weights."""
    from eterna.training.order import EpochOrder

    whole = run(run_values)
    cut_values = with_training(run_values, output_dir=str(tmp_path / "cut"))
    forget_after(run(cut_values).run, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpochOrder, "start_epoch", lambda self, epoch: None)
        resumed = run(cut_values, resume=True)
    one, other = weights(whole.run.final), weights(resumed.run.final)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_second_run_in_the_same_folder_is_refused(run_values: dict[str, Any]) -> None:
    run(run_values)
    before = (Path(run_values["training"]["output_dir"]) / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        run(run_values)
    assert (Path(run_values["training"]["output_dir"]) / "metrics.jsonl").read_bytes() == before


def test_resuming_with_other_settings_is_refused(run_values: dict[str, Any]) -> None:
    forget_after(run(run_values).run, 4)
    with pytest.raises(RunError, match=r"training.learning_rate was 0.001 and is now 0.5"):
        run(with_training(run_values, learning_rate=0.5), resume=True)


def test_resuming_on_changed_data_is_refused(run_values: dict[str, Any], chat_file: Path) -> None:
    forget_after(run(run_values).run, 4)
    chat_file.write_text(chat_file.read_text(encoding="utf-8") * 2, encoding="utf-8")
    chat_file.write_text(
        chat_file.read_text(encoding="utf-8").replace('"c1"', '"d1"', 1).split("\n")[1], encoding="utf-8"
    )
    with pytest.raises(RunError, match="has changed since the run began"):
        run(run_values, resume=True)


def test_a_dry_run_writes_nothing(run_values: dict[str, Any], tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert train(config_from_values(run_values), Console(quiet=True), dry_run=True) is None
    assert sorted(tmp_path.rglob("*")) == before


def test_full_fine_tuning_works_too(run_values: dict[str, Any]) -> None:
    values = {key: value for key, value in run_values.items() if key != "lora"}
    trained = run(values)
    assert (trained.run.final / "model.safetensors").is_file()
    assert all(score.value is not None for score in trained.scores if score.metric == "perplexity")


def test_random_weights_are_drawn_from_the_seed(run_values: dict[str, Any], tmp_path: Path) -> None:
    values = {key: value for key, value in run_values.items() if key != "lora"}
    values["model"] = {**values["model"], "init": "random"}
    one = load_file(run(with_training(values, max_steps=1)).run.final / "model.safetensors")
    again = with_training(values, max_steps=1, output_dir=str(tmp_path / "again"))
    other = load_file(run(again).run.final / "model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_plain_text_is_split_and_trained(run_values: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("The stair turned and turned. " * 80, encoding="utf-8")
    values = {**run_values, "data": {"train": [{"path": str(path)}], "max_length": 64, "too_long": "split"}}
    trained = run(with_training(values, num_train_epochs=1))
    source = trained.run.data()["sources"][0]
    assert source["read"] == 1
    assert source["examples"] > 1
    assert trained.scores == []


FINAL_ALONE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "eterna":
            raise ImportError("eterna must not be needed")
sys.meta_path.insert(0, Refuse())
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer
model = AutoPeftModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
text = tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False, add_generation_prompt=True)
ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)
out = model.generate(**ids)
assert out.shape[1] > ids["input_ids"].shape[1]
assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
print("loaded", sum(p.numel() for p in model.parameters()))
"""


def test_final_loads_in_a_process_that_never_imports_eterna(run_values: dict[str, Any]) -> None:
    final = run(run_values).run.final
    done = subprocess.run([sys.executable, "-c", FINAL_ALONE, str(final)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("loaded")


def test_final_finds_its_base_from_any_folder(
    run_values: dict[str, Any], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import AutoPeftModelForCausalLM

    monkeypatch.chdir(tiny_model.parent)
    final = run({**run_values, "model": {"name": tiny_model.name}}).run.final
    monkeypatch.chdir(tmp_path)
    assert AutoPeftModelForCausalLM.from_pretrained(final).peft_config["default"].r == 4


def test_what_final_predicts_is_what_training_ended_with(run_values: dict[str, Any]) -> None:
    from eterna.pipeline.evaluate import evaluate

    trained = run(run_values)
    again = evaluate(trained.run.path).scores
    assert [(score.metric, score.system, score.part) for score in again] == [
        (score.metric, score.system, score.part) for score in trained.scores
    ]
    before, after = (
        [math.nan if score.value is None else score.value for score in scores] for scores in (trained.scores, again)
    )
    assert after == pytest.approx(before, rel=1e-5, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_a_checkpoint_and_the_run_resumes_from_it(
    run_values: dict[str, Any], tmp_path: Path, number: int, code: int
) -> None:
    values = with_training(run_values, num_train_epochs=30, save_steps=100000, eval_steps=100000)
    file = tmp_path / "run.yaml"
    file.write_text(to_yaml(values), encoding="utf-8")
    command = [sys.executable, "-m", "eterna", "train", str(file)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(line)
            if line.startswith("step 5/"):
                child.send_signal(number)
                break
        lines += list(child.stdout)
        assert child.wait(120) == code, "".join(lines)
    folder = RunFolder.open(Path(values["training"]["output_dir"]))
    assert folder.status()["state"] == "interrupted"
    (saved,) = folder.checkpoints()
    assert not folder.final.exists()
    assert "--resume" in lines[-1]
    assert 5 <= int(saved.name.rpartition("-")[2]) < 90
    assert run(values, resume=True).run.status() == {"format": 1, "state": "finished", "step": 90, "message": None}
    assert [step for step, _ in losses(folder)] == list(range(1, 91))


def test_metrics_are_rows_of_json_with_a_format_line(run_values: dict[str, Any]) -> None:
    path = run(run_values).run.path / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == {"format": 1}
    assert all(isinstance(json.loads(line)["time"], float) for line in lines[1:])
    assert abs(json.loads(lines[-1])["time"] - time.time()) < 600


def test_a_new_format_is_refused(run_values: dict[str, Any]) -> None:
    folder = run(run_values).run
    (folder.path / "scores.json").write_text('{"format": 2, "scores": []}', encoding="utf-8")
    with pytest.raises(UserError, match="format 2"):
        folder.scores()


@pytest.mark.parametrize(
    "mistake",
    [
        {"training": {"lr_scheduler_type": "zigzag"}},
        {"training": {"optim": "sgdd"}},
        {"training": {"precision": "fp16"}},
        {"data": {"max_length": 16}},
        {"data": {"max_length": 5000}},
        {"lora": {"target_modules": ["q_projj"]}},
        {"model": {"name": "./nowhere"}},
    ],
    ids=str,
)
def test_mistakes_are_found_before_weights_load(
    run_values: dict[str, Any], mistake: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import eterna.pipeline.train as module

    def never(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(module, "load_model", never)
    with pytest.raises(AssertionError, match="weights were loaded"):
        run(run_values)
    assert not RunFolder(Path(run_values["training"]["output_dir"])).is_used()
    values = {**run_values, **{section: {**run_values[section], **keys} for section, keys in mistake.items()}}
    with pytest.raises(UserError):
        run(values)


def test_data_is_read_before_the_model_is_looked_for(run_values: dict[str, Any]) -> None:
    values = {**run_values, "model": {"name": "./nowhere"}}
    values["data"] = {**run_values["data"], "train": [{"path": "nothing.jsonl"}]}
    with pytest.raises(UserError, match="no such file"):
        run(values)


def test_a_run_that_breaks_is_recorded_as_failed_and_can_be_resumed(
    run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import eterna.pipeline.train as module

    def broken(*arguments: Any, **settings: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_finished", broken)
        with pytest.raises(OSError, match="No space left"):
            run(run_values)
    folder = RunFolder(Path(run_values["training"]["output_dir"]))
    assert folder.status()["state"] == "failed"
    resumed = run(run_values, resume=True)
    assert resumed.run.status()["state"] == "finished"
    assert all(score.value is not None for score in resumed.scores if score.metric == "perplexity")
