"""What ships: the wheel, the recipes, the base model, the promises of the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from eterna.config import load_config

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "eterna"


def test_an_installed_wheel_runs_the_demo_in_an_empty_environment(tmp_path: Path) -> None:
    """The libraries come from this environment; eterna itself only from the wheel."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "venv" / "lib" / version / "site-packages"
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    where = [str(python), "-c", "import eterna; print(eterna.__file__)"]
    found = subprocess.run(where, cwd=empty, env=environment, capture_output=True, text=True, check=True)
    assert str(site) in found.stdout

    command = [str(tmp_path / "venv" / "bin" / "eterna"), "demo", "training.max_steps=2", "--training.eval_steps=2"]
    command += ["evaluation.probes=1", "generation.max_new_tokens=4"]
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (empty / "runs" / "demo" / "report.html").is_file()
    assert (empty / "runs" / "demo" / "final" / "adapter_model.safetensors").is_file()
    assert "eterna chat runs/demo --npc archivera" in done.stdout


@pytest.mark.parametrize(
    "recipe",
    [
        *sorted({*(ROOT / "recipes").rglob("*.yaml")} - {*(ROOT / "recipes" / "accelerate").iterdir()}),
        SOURCE / "recipes" / "demo.yaml",
    ],
    ids=lambda path: path.stem,
)
def test_every_recipe_is_a_valid_run_file(recipe: Path) -> None:
    notes = load_config(recipe, environment={}).notes
    # The guide's own recipe keeps the guide's names, old ones included.
    assert len(notes) == (3 if recipe.name == "guide.yaml" else 0)


def test_the_base_model_is_plain_transformers_and_small() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = SOURCE / "base_model"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 40 * 2**20
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert (folder / "README.md").is_file()


def test_the_readme_s_commands_exist() -> None:
    from eterna.cli.main import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups}
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    used = set(re.findall(r"^\s*(?:\$ )?eterna ([a-z]+)", text, re.MULTILINE))
    assert used
    assert used <= known
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", text, re.MULTILINE)) <= targets


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bpickle\.",
        r"torch\.load\(",
        r"yaml\.load\(",
        r"shell=True",
        r"0\.0\.0\.0",
        r"verify=False",
        r"trust_remote_code",
    ],
)
def test_dangerous_calls_are_absent(pattern: str) -> None:
    hits = [path.name for path in SOURCE.rglob("*.py") if re.search(pattern, path.read_text(encoding="utf-8"))]
    assert hits == []


def test_the_settings_page_is_made_from_the_code() -> None:
    from scripts.config_docs import OUT, page

    assert OUT.read_text(encoding="utf-8") == page(), "run: python scripts/config_docs.py"


def test_the_benchmark_page_is_made_from_the_results(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "write_docs.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    for name in ("benchmarks.md", "images/training-speed.svg"):
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == (tmp_path / name).read_text(encoding="utf-8")


def test_every_link_of_the_docs_leads_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
