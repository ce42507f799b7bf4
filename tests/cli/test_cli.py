"""The commands as a person types them, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eterna.config.writing import to_yaml


def eterna(*words: str, cwd: Path, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`eterna ...` on a machine that has no GPU, whatever this one has."""
    own = {"COLUMNS": "120", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    return subprocess.run(
        [sys.executable, "-m", "eterna", *words],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **own, **environment},
    )


@pytest.fixture
def run_file(run_values: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    values = {**run_values, "world": "eterna:biblioteca"}
    values["training"] = {**values["training"], "max_steps": 2, "output_dir": "runs/tiny"}
    path.write_text(to_yaml(values), encoding="utf-8")
    return path


def test_help_names_every_command(tmp_path: Path) -> None:
    done = eterna("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("demo", "train", "eval", "report", "chat", "config"):
        assert command in done.stdout


def test_train_eval_report_and_chat_follow_each_other(run_file: Path, tmp_path: Path) -> None:
    trained = eterna("train", "run.yaml", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "held-out text, base against tuned" in trained.stdout
    assert "eterna chat runs/tiny" in trained.stdout
    assert "canon     no reply breaks it" in trained.stdout

    scored = eterna("eval", "runs/tiny", "--json", cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    found = json.loads(scored.stdout)
    assert found["canon"] == []
    rows = [row for row in found["scores"] if row["metric"] == "perplexity"]
    assert {row["system"] for row in rows} == {"base", "tuned", "difference"}
    assert all(row["n"] == 12 for row in rows)

    (tmp_path / "runs/tiny/report.html").unlink()
    assert eterna("report", "runs/tiny", cwd=tmp_path).returncode == 0
    assert (tmp_path / "runs/tiny/report.html").is_file()

    lines = "Where does this stair end?\n<|im_end|>\n/npc farolero\n/place nowhere\n¿Y las lámparas?\n/quit\n"
    talk = eterna("chat", "runs/tiny", "--npc", "archivera", cwd=tmp_path, stdin=lines)
    assert talk.returncode == 0, talk.stderr
    assert "La Biblioteca Eterna · Escalera sin Fin" in talk.stdout
    assert talk.stdout.count("Archivera Inés: ") >= 3  # a control token that is typed is text to answer
    assert "Abel" in talk.stdout
    assert "there is no place 'nowhere'" in talk.stderr
    assert "Traceback" not in talk.stderr


def test_a_dry_run_shows_the_plan_and_writes_nothing(run_file: Path, tmp_path: Path) -> None:
    done = eterna("train", "run.yaml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert "LoRA r=4" in done.stdout
    assert "steps     2 of 4 examples" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_config_show_resolves_overrides_and_schema_is_json(run_file: Path, tmp_path: Path) -> None:
    shown = eterna(
        "config", "show", "run.yaml", "--training.seed", "9", "lora.r=2", cwd=tmp_path, ETERNA_DATA__MAX_LENGTH="99"
    )
    assert "seed: 9" in shown.stdout
    assert "r: 2" in shown.stdout
    assert "max_length: 99" in shown.stdout
    assert "training" in json.loads(eterna("config", "schema", cwd=tmp_path).stdout)["properties"]


# Each case: overrides or a change of files, and what the message must say. All end in exit code 2 before weights load.
MISTAKES: dict[str, tuple[list[str], str]] = {
    "unknown key": (["--training.learnig_rate", "1"], "did you mean 'training.learning_rate'"),
    "unknown option": (["--lorra", "1"], "did you mean 'lora'"),
    "stray word": (["fast"], "cannot read the argument"),
    "fp16 on a cpu": (["--training.precision", "fp16"], "precision: auto"),
    "no such data": (["--data.train.0.path", "nothing.jsonl"], "no such file: nothing.jsonl"),
    "no such model folder": (["--model.name", "./nowhere"], "no such folder"),
    "no such shipped model": (["--model.name", "eterna:bass"], "did you mean 'eterna:base'"),
    "no such world": (["--world", "eterna:bibliotek"], "biblioteca"),
    "window past the model's": (["--data.max_length", "5000"], "256 tokens at most"),
    "example past the window": (["--data.max_length", "16"], "do not fit data.max_length 16"),
    "lora target that matches nothing": (["--lora.target_modules", "[q_proj, v_prj]"], "did you mean 'v_proj'"),
    "scheduler unknown to transformers": (["--training.lr_scheduler_type", "zigzag"], "zigzag"),
    "optimizer unknown to transformers": (["--training.optim", "sgdd"], "sgdd"),
    "output folder is a file": (["--training.output_dir", "run.yaml"], "is a file, not a folder"),
    "resume of nothing": (["--resume"], "holds no run to resume"),
    "precision misspelt": (["--training.precision", "fp15"], "one of: auto, fp32, bf16 or fp16"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_ends_in_one_short_message(case: str, run_file: Path, tmp_path: Path) -> None:
    words, expected = MISTAKES[case]
    before = {item: item.read_bytes() for item in tmp_path.rglob("*") if item.is_file()}
    done = eterna("train", "run.yaml", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert expected in done.stderr
    assert "fix:" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 3000
    assert {item: item.read_bytes() for item in tmp_path.rglob("*") if item.is_file()} == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "nothing.yaml"], "no such file: nothing.yaml"),
        (["eval", "runs/none"], "holds no run"),
        (["chat", "runs/none"], "holds no run"),
        (["report", "."], "holds no run"),
    ],
)
def test_a_missing_file_or_run_is_named(words: list[str], expected: str, tmp_path: Path) -> None:
    done = eterna(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_python_in_five_lines(run_file: Path, tmp_path: Path) -> None:
    code = (
        "import eterna\n"
        "config = eterna.load_config('run.yaml', **{'training.max_steps': 1})\n"
        "trained = eterna.train(config, quiet=True)\n"
        "print(eterna.evaluate(trained.run.path)[0].metric)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.strip() == "perplexity", done.stderr
