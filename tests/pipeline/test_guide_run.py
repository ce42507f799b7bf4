"""The guide's example as it stands, but for the model's name and fp16: trained, cut, resumed, evaluated, saved."""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = ["--model.name", "./tiny-mistral", "--training.fp16", "auto"]
LIMIT = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guide")
    runpy.run_path(str(ROOT / "recipes" / "mistral_tiny.py"))["make_mistral_tiny"](folder / "tiny-mistral")
    return folder


def eterna(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eterna", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False)


def train(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return eterna(folder, "train", str(ROOT / "recipes" / "guide.yaml"), *SETTINGS, *arguments)


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """The run, stopped by a signal once and gone on with."""
    command = [sys.executable, "-u", "-m", "eterna", "train", str(ROOT / "recipes" / "guide.yaml"), *SETTINGS]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 10/48"):
                process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 143
    (cut,) = (folder / "results").glob("checkpoint-*")
    assert 10 <= int(cut.name.rpartition("-")[2]) < 48
    done = train(folder, "--resume")
    assert done.returncode == 0, done.stderr
    assert f"resuming from results/{cut.name}" in done.stdout
    return folder


def test_the_guides_paths_are_honoured(trained: Path) -> None:
    assert (trained / "results" / "checkpoint-48" / "adapter_model.safetensors").is_file()
    assert (trained / "results" / "final" / "README.md").is_file()
    assert list((trained / "logs").glob("events.out.tfevents.*"))
    assert {item.name for item in trained.iterdir()} == {"tiny-mistral", "results", "logs"}


def test_every_value_of_the_guide_is_in_force(trained: Path) -> None:
    from eterna.runs import RunFolder

    config = RunFolder.open(trained / "results").config()
    training, lora = config.training, config.lora
    assert lora is not None
    assert (lora.r, lora.lora_alpha, lora.lora_dropout, lora.bias) == (8, 32, 0.1, "none")
    assert lora.target_modules == ["q_proj", "v_proj"]
    assert (training.num_train_epochs, training.warmup_steps, training.weight_decay) == (3, 500, 0.01)
    batches = training.per_device_train_batch_size, training.per_device_eval_batch_size
    assert (*batches, training.gradient_accumulation_steps) == (4, 8, 2)
    assert (training.eval_strategy, training.eval_steps, training.save_steps) == ("steps", 500, 1000)
    assert (training.learning_rate, training.logging_steps, training.report_to) == (2e-5, 10, ["tensorboard"])


def test_it_is_evaluated_and_trained_no_second_time(trained: Path) -> None:
    done = eterna(trained, "eval", "results", "--json")
    assert done.returncode in (0, 4), done.stderr  # random words may break the canon
    metrics = {score["metric"] for score in json.loads(done.stdout)["scores"]}
    assert {"perplexity", "bleu", "rougeL", "relevancy", "coherence", "style", "insightfulness_proxy"} <= metrics
    again = train(trained)
    assert again.returncode == 2
    assert "already holds a run" in again.stderr


def test_the_guides_lines_save_and_plain_libraries_load(trained: Path) -> None:
    lines = (
        "from peft import AutoPeftModelForCausalLM\n"
        "from transformers import AutoTokenizer\n"
        "model = AutoPeftModelForCausalLM.from_pretrained('results/final')\n"
        "tokenizer = AutoTokenizer.from_pretrained('results/final')\n"
        'model.save_pretrained("./my_fine_tuned_model")\n'
        'tokenizer.save_pretrained("./my_fine_tuned_model")\n'
        "AutoPeftModelForCausalLM.from_pretrained('./my_fine_tuned_model')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=trained, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (trained / "my_fine_tuned_model" / "tokenizer.json").is_file()


def test_the_guides_tensorboard_line_shows_the_curves(trained: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir=./logs", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=trained, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        tags: dict[str, dict[str, object]] = {}
        until = time.monotonic() + LIMIT
        while not any(tags.values()) and time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/scalars/tags", timeout=10) as answer:
                    tags = json.load(answer)
            except OSError:
                time.sleep(0.5)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
    assert {"train/loss", "train/learning_rate", "eval/loss", "eval/perplexity"} <= set(next(iter(tags.values())))
