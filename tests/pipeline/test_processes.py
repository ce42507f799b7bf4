"""Runs in two processes: by torchrun and by accelerate, cut and resumed, and with the weights shared out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from rich.console import Console
from safetensors.torch import load_file
from tests.conftest import TORCHRUN
from tests.pipeline.test_train import forget_after, losses, run, with_training
from transformers import AutoModelForCausalLM

from eterna.config import config_from_values
from eterna.config.writing import to_yaml
from eterna.errors import ConfigError, RunError
from eterna.pipeline.train import train
from eterna.runs import RunFolder

ACCELERATE = (sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")
ACCELERATE += ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")

STEADY = {"adam_epsilon": 1e-5}
"""AdamW divides by the size of a gradient: one of nearly zero would turn rounding into whole steps."""


def written(values: dict[str, Any], file: Path) -> str:
    file.write_text(to_yaml(values), encoding="utf-8")
    return str(file)


def without_lora(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "lora"}


@pytest.fixture
def eleven(run_values: dict[str, Any], chat_file: Path) -> dict[str, Any]:
    """Eleven examples, 4 in a step, no dropout: the last step of an epoch holds 3, one process has a batch of 1."""
    chat_file.write_text("".join(chat_file.read_text(encoding="utf-8").splitlines(keepends=True)[:11]))
    return {**with_training(run_values, **STEADY), "lora": {**run_values["lora"], "lora_dropout": 0.0}}


@pytest.mark.parametrize("launcher", [TORCHRUN, ACCELERATE], ids=["torchrun", "accelerate"])
def test_two_processes_train_as_one(
    eleven: dict[str, Any], tmp_path: Path, launch: Any, launcher: tuple[str, ...]
) -> None:
    both = with_training(eleven, per_device_train_batch_size=1, output_dir=str(tmp_path / "two"))
    done = launch("-m", "eterna", "train", written(both, tmp_path / "two.yaml"), launcher=launcher)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("LoRA r=4") == done.stdout.count("\nreport") == 1
    one, two = run(eleven).run, RunFolder(tmp_path / "two")
    assert [step for step, _ in losses(two)] == [step for step, _ in losses(one)]
    assert [loss for _, loss in losses(two)] == pytest.approx([loss for _, loss in losses(one)], rel=1e-5)
    assert [row["train/tokens"] for row in two.metrics() if "train/tokens" in row] == [
        row["train/tokens"] for row in one.metrics() if "train/tokens" in row
    ]
    assert two.checkpoints()
    assert same(adapter(one.final), adapter(two.final), 1e-4)


def adapter(final: Path) -> dict[str, torch.Tensor]:
    """The adapter's weights as plain PEFT loads them."""
    model = AutoPeftModelForCausalLM.from_pretrained(final)
    return {name: tensor.detach() for name, tensor in model.named_parameters() if "lora_" in name}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float) -> bool:
    assert one
    assert one.keys() == other.keys()
    return all(float((one[n] - other[n]).norm() / one[n].norm()) <= tolerance for n in one)


def test_two_processes_stopped_by_a_signal_resume_to_the_same_bits(
    run_values: dict[str, Any], chat_file: Path, tmp_path: Path, launch: Any
) -> None:
    """The launcher gets SIGTERM and passes it on; dropout is on."""
    values = {**run_values, "data": {"train": [{"path": str(chat_file)}], "max_length": 200}}
    values = with_training(values, per_device_train_batch_size=1, num_train_epochs=20, save_steps=7, save_total_limit=2)
    cut_file = written(with_training(values, output_dir=str(tmp_path / "cut")), tmp_path / "cut.yaml")
    stop_after(cut_file, "saved checkpoint-7")
    cut = RunFolder(tmp_path / "cut")
    assert cut.status()["state"] == "interrupted"
    assert cut.status()["step"] < 60
    with pytest.raises(RunError, match="the number of processes was 2 and is now 1"):
        run(with_training(values, output_dir=str(tmp_path / "cut")), resume=True)
    for words in ([cut_file, "--resume"], [written(values, tmp_path / "whole.yaml")]):
        done = launch("-m", "eterna", "train", *words)
        assert done.returncode == 0, done.stdout + done.stderr
    whole = RunFolder(Path(values["training"]["output_dir"]))
    assert losses(cut) == losses(whole)
    assert same(adapter(whole.final), adapter(cut.final), 0.0)


def stop_after(file: str, line: str) -> None:
    """Start a run in two processes and send its launcher SIGTERM once it has said `line`."""
    words = [*TORCHRUN, "-m", "eterna", "train", file]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as launcher:
        assert launcher.stdout is not None
        said = []
        for heard in launcher.stdout:
            said.append(heard)
            if line in heard:
                launcher.send_signal(signal.SIGTERM)
                break
        said += list(launcher.stdout)
        assert launcher.wait(120) != 0, "".join(said)


@pytest.fixture(scope="module")
def sharded(
    tiny_model: Path, launch: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], RunFolder]:
    """A full fine-tuning whose weights, gradients and optimizer two processes share out, and its settings."""
    folder = tmp_path_factory.mktemp("sharded")
    rows = [
        {"id": f"c{n}", "messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "He. " * n}]}
        for n in range(1, 12)
    ]
    (folder / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = {part: [{"path": str(folder / "chat.jsonl")}] for part in ("train", "eval")}
    values: dict[str, Any] = {
        "model": {"name": str(tiny_model)},
        "data": {**data, "max_length": 200, "leaks": "warn"},
        "training": {
            "output_dir": str(folder / "run"),
            "num_train_epochs": 2,
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": 2,
            "learning_rate": 1e-3,
            "precision": "fp32",
            "eval_steps": 4,
            "save_steps": 2,
            "logging_steps": 1,
            "report_to": ["none"],
            "fsdp": True,
        },
        "evaluation": {"probes": 1},
        "generation": {"max_new_tokens": 4},
    }
    done = launch("-m", "tests.pipeline.sharded", "train", written(values, folder / "run.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    return values, RunFolder(folder / "run")


def alone(values: dict[str, Any], folder: Path) -> RunFolder:
    """The same run in one process, nothing shared out."""
    settings = {**values["training"], "fsdp": False, "per_device_train_batch_size": 2, "output_dir": str(folder)}
    return run({**values, "training": settings}).run


def test_a_sharded_run_has_the_losses_and_weights_of_one_process(
    sharded: tuple[dict[str, Any], RunFolder], tmp_path: Path
) -> None:
    values, folder = sharded
    one = alone(values, tmp_path / "one")
    assert len(losses(folder)) == 6
    assert [loss for _, loss in losses(folder)] == pytest.approx([loss for _, loss in losses(one)], rel=1e-5)
    perplexities = [[score.value for score in each.scores() if "perplexity" in score.metric] for each in (folder, one)]
    assert perplexities[0] == pytest.approx(perplexities[1], rel=1e-4)
    for name in ("final", "checkpoint-2"):
        assert same(weights(one.path / name), weights(folder.path / name), 1e-4)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All weights as plain transformers loads them; none may be missing."""
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["mismatched_keys"]
    return {name: tensor.detach() for name, tensor in model.named_parameters()}


def test_a_sharded_run_resumes_with_the_same_losses(
    sharded: tuple[dict[str, Any], RunFolder], tmp_path: Path, launch: Any
) -> None:
    import shutil

    values, whole = sharded
    shutil.copytree(whole.path, tmp_path / "cut")
    cut = RunFolder(tmp_path / "cut")
    forget_after(cut, 4)
    # Its own record of the folder it lies in may stay: output_dir is free to change.
    file = written(with_training(values, output_dir=str(cut.path)), tmp_path / "cut.yaml")
    done = launch("-m", "tests.pipeline.sharded", "train", file, "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert losses(cut) == losses(whole)
    assert same(load_file(whole.final / "model.safetensors"), load_file(cut.final / "model.safetensors"), 1e-6)


def test_each_process_has_its_own_dropout(sharded: tuple[dict[str, Any], RunFolder]) -> None:
    """Without dropout nothing has been drawn, so the random states are as they were seeded."""
    files = [sharded[1].path / "checkpoint-2" / f"rng_state_{number}.pth" for number in (0, 1)]
    one, other = (torch.load(file, weights_only=False)["cpu"] for file in files)
    assert not torch.equal(one, other)


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    import eterna.pipeline.train as module

    def never(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(module, "load_model", never)


@pytest.mark.usefixtures("no_weights")
def test_sharding_on_a_cpu_is_refused(run_values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"training.fsdp is true.* on the CPU\n.*remove fsdp"):
        train(config_from_values(with_training(run_values, fsdp=True, use_cpu=True)), Console(quiet=True))


@pytest.mark.usefixtures("no_weights")
def test_sharding_asked_for_by_the_environment_is_refused_on_a_cpu(
    run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigError, match=r"ACCELERATE_USE_FSDP .* on the CPU\n.*unset it"):
        train(config_from_values(with_training(run_values, use_cpu=True)), Console(quiet=True))


def test_sharding_asked_for_by_a_launch_config_is_refused_on_a_cpu(
    run_values: dict[str, Any], tmp_path: Path, launch: Any
) -> None:
    config = Path("recipes/accelerate/one_node_fsdp2.yaml").resolve()
    launcher = (sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config))
    launcher += ("--num_processes", "2", "--main_process_port", "0")
    file = written(with_training(run_values, use_cpu=True), tmp_path / "run.yaml")
    done = launch("-m", "eterna", "train", file, launcher=launcher)
    assert done.returncode != 0
    assert "ACCELERATE_USE_FSDP is true in the environment, but FSDP needs GPUs" in done.stderr
    assert "take `distributed_type: FSDP` out" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_tuning_of_sharding_without_sharding_is_refused(run_values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"training.fsdp_config is given, but training.fsdp is false"):
        config_from_values(with_training(run_values, fsdp_config={"reshard_after_forward": False}))
