"""Tiny real models and tokenizers, made once per test session; nothing is downloaded."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Before anything is imported that reads them: no setting, account or cache of the user's own reaches a test.
USERS_OWN = ("ETERNA_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "MLFLOW_TRACKING", "MLFLOW_RUN", "MLFLOW_EXP")
for name in [name for name in os.environ if name.startswith(USERS_OWN)]:
    del os.environ[name]
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="eterna-hf-")
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` are skipped, with a line that says so, where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public-domain texts beside the checkout; the project does not depend on it."""
    if not (SHARED / "corpora").is_dir():
        pytest.skip("needs ../shared (public-domain texts beside the checkout)")
    return SHARED


REPLIES = [
    ("Where does this stair end?", "It does not end. It only turns, and every turn is a landing."),
    ("Who keeps the lamps?", "Abel keeps them. He counts each one before he sleeps."),
    ("¿Qué libro es este?", "Un libro que todavía no se ha escrito. Léelo despacio."),
    ("May I borrow the map?", "You may borrow it. It will look different when you bring it back."),
    ("What does the binder mend?", "Paper, thread, and now and then the night you cannot remember."),
    ("Is the index complete?", "No. It is only finished, which is another matter."),
]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random-weight Llama of about 100,000 parameters, its tokenizer and a ChatML template."""
    import torch
    from recipes.shape import make_shape
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    text = folder / "text.jsonl"
    lines = [prompt + " " + reply for prompt, reply in REPLIES] * 3
    text.write_text("".join(json.dumps({"text": line}, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    make_shape(folder / "model", [text], vocabulary=400, hidden=64, layers=2, window=256)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder / "model"))
    model.save_pretrained(folder / "model")
    return folder / "model"


TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def launch() -> Launch:
    """Runs words in two processes that talk by gloo: `launch("-m", "eterna", "train", file)`."""

    def run(*words: str, launcher: tuple[str, ...] = TORCHRUN, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*launcher, *words],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            timeout=240,
        )

    return run


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def chat_file(tmp_path: Path) -> Path:
    """Twelve short conversations of unequal length."""
    path = tmp_path / "chat.jsonl"
    rows = []
    for number in range(12):
        turns = []
        for prompt, reply in (REPLIES * 3)[number : number + 1 + number % 3]:
            turns += [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
        rows.append({"id": f"c{number}", "messages": turns})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def run_values(tiny_model: Path, chat_file: Path, tmp_path: Path) -> dict[str, Any]:
    """A complete small run: LoRA, dropout, accumulation, evaluation and checkpoints."""
    return {
        "name": "tiny",
        "model": {"name": str(tiny_model)},
        "lora": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "lora_dropout": 0.1},
        "data": {
            "train": [{"path": str(chat_file)}],
            "eval": [{"path": str(chat_file)}],
            "max_length": 200,
            "leaks": "warn",
        },
        "training": {
            "output_dir": str(tmp_path / "run"),
            "num_train_epochs": 2,
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "learning_rate": 1e-3,
            "precision": "fp32",
            "eval_steps": 2,
            "save_steps": 2,
            "logging_steps": 1,
            "report_to": ["none"],
            "seed": 3,
        },
        "evaluation": {"probes": 2},
        "generation": {"max_new_tokens": 8},
    }
