"""`eterna init` and `eterna doctor`."""

from __future__ import annotations

import json
import shutil
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cli.conftest import Run

from eterna.config import json_schema
from eterna.models import find_model
from eterna.pipeline.check_world import survey_world
from eterna.pipeline.doctor import check_base_model, check_disk, check_folder, check_network
from eterna.pipeline.init import STARTER
from eterna.world import find_world, load_world

RANGES = {"torch": ">=2", "transformers": ">=5", "peft": ">=0.1", "accelerate": ">=1", "datasets": ">=4", "mlflow": ">=3", "tensorboard": ">=2"}  # fmt: skip


def test_init_makes_a_folder_whose_run_file_trains_as_it_is(eterna: Run, tmp_path: Path) -> None:
    made = eterna("init", "my world")
    assert made.returncode == 0, made.stderr
    assert "cd 'my world'" in made.stdout
    folder = tmp_path / "my world"
    assert eterna("world", "check", "world", cwd=folder).returncode == 0
    few = ["--training.max_steps", "2", "--training.save_steps", "2", "--evaluation.probes", "1"]
    done = eterna("train", "run.yaml", *few, "--generation.max_new_tokens", "4", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == "runs/ferry-inn"
    assert (folder / "runs" / "ferry-inn" / "report.html").is_file()


def test_init_gives_the_editor_the_schema_of_the_run_file(eterna: Run, tmp_path: Path) -> None:
    eterna("init", "w")
    assert (tmp_path / "w" / "run.yaml").read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=run.schema.json\n")  # fmt: skip
    assert json.loads((tmp_path / "w" / "run.schema.json").read_text(encoding="utf-8")) == json_schema()


def test_init_fills_an_empty_folder_that_is_there(eterna: Run, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    assert eterna("init", "w").returncode == 0
    assert (tmp_path / "w" / "world" / "world.yaml").is_file()


@pytest.mark.parametrize(
    ("name", "expected"), [("full", "is not empty: it holds notes.txt"), ("full/notes.txt", "is a file")]
)
def test_init_leaves_what_is_there_alone(name: str, expected: str, eterna: Run, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine", encoding="utf-8")
    done = eterna("init", name)
    assert done.returncode == 2
    assert expected in done.stderr
    assert [item.name for item in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_the_starter_s_readme_names_files_and_people_that_exist(tmp_path: Path) -> None:
    text = (STARTER / "README.md").read_text(encoding="utf-8")
    world = load_world(find_world(str(STARTER / "world")))
    assert "--npc innkeeper" in text
    assert "innkeeper" in world.npcs
    assert survey_world(world).warnings == []


def doctor(eterna: Run, **environment: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    done = eterna("doctor", "--json", **environment)
    assert "Traceback" not in done.stderr
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(done.stdout)["rows"]:
        rows.setdefault(row["name"], []).append(row)
    return done.returncode, rows


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder that goes before the installed packages; `about` writes the metadata of one into it."""
    (tmp_path / "packages").mkdir()
    about(tmp_path / "packages", "eterna", "0.1.0", RANGES)
    return tmp_path / "packages"


def about(folder: Path, name: str, version: str, needs: dict[str, str] | None = None) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Requires-Python: >=3.11"]
    lines += [f"Requires-Dist: {other}{wanted}" for other, wanted in (needs or {}).items()]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_doctor_finds_nothing_bad_here(eterna: Run, packages: Path) -> None:
    code, rows = doctor(eterna, PYTHONPATH=str(packages))
    assert code == 0
    assert [row for found in rows.values() for row in found if row["state"] == "bad"] == []
    assert rows["eterna:base"][0]["text"].startswith("whole")
    assert rows["transformers"][0]["text"].endswith("(supported: >=5)")
    assert [row["text"].split(" up to ")[0] for row in rows["fits here"]] == ["full fine-tuning", "LoRA", "QLoRA"]


def test_doctor_names_broken_missing_and_outdated_libraries(eterna: Run, packages: Path) -> None:
    (packages / "torch.py").write_text("raise OSError('libcudart.so.13 is missing')\n", encoding="utf-8")
    about(packages, "peft", "0.0.1")
    (packages / "sitecustomize.py").write_text(
        "import importlib.metadata as m\n_version = m.version\n"
        "def version(name):\n"
        "    if name in ('mlflow', 'bitsandbytes'):\n        raise m.PackageNotFoundError(name)\n"
        "    return _version(name)\n"
        "m.version = version\n",
        encoding="utf-8",
    )
    code, rows = doctor(eterna, PYTHONPATH=str(packages))
    assert code == 1
    assert "fails to import: OSError: libcudart.so.13 is missing" in rows["torch"][0]["text"]
    assert rows["device"][0]["state"] == "bad"
    assert rows["peft"][0] == {"name": "peft", "state": "bad", "text": "0.0.1, supported: >=0.1", "fix": 'pip install "peft>=0.1"'}  # fmt: skip
    assert (rows["mlflow"][0]["state"], rows["mlflow"][0]["text"]) == ("bad", "not installed")
    assert (rows["bitsandbytes"][0]["state"], rows["bitsandbytes"][0]["fix"]) == ("warn", 'pip install "eterna[quantization]"')  # fmt: skip
    assert all(row["fix"] for found in rows.values() for row in found if row["state"] != "ok")


def test_doctor_s_table_shows_each_fix(eterna: Run, packages: Path) -> None:
    (packages / "torch.py").write_text("raise OSError('broken')\n", encoding="utf-8")
    done = eterna("doctor", PYTHONPATH=str(packages))
    assert done.returncode == 1
    assert 'fix: pip install --force-reinstall "torch>=2"' in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("tokenizer.json", None, "lacks tokenizer.json"),
        ("model.safetensors", None, "holds no weights"),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("model.safetensors", b"half a file", "not a safetensors file"),
    ],
)
def test_a_base_model_that_is_not_whole_is_bad(name: str, content: bytes | None, expected: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(find_model("eterna:base"), tmp_path / "base"))
    assert check_base_model(folder).state == "ok"
    (folder / name).unlink()
    if content:
        (folder / name).write_bytes(content)
    row = check_base_model(folder)
    assert row.state == "bad"
    assert expected in row.text
    assert row.fix


@pytest.mark.parametrize(("free", "state"), [(10 * 2**30, "ok"), (2**30, "warn"), (2**20, "bad")])
def test_a_full_disk_is_seen(free: int, state: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    assert check_disk(tmp_path).state == state


def test_a_folder_that_cannot_be_written_to_is_bad(tmp_path: Path) -> None:
    assert check_folder(tmp_path).state == "ok"
    assert check_folder(tmp_path / "gone").state == "bad"
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_does_not_answer_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert check_network().text.startswith("offline, as HF_HUB_OFFLINE says")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert check_network().state == "warn"


def test_any_answer_of_a_server_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(403)

        def log_message(self, *rest: Any) -> None:
            return

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert check_network().state == "ok"
        server.shutdown()
