"""The corpus: what each case is, laid out in a folder of its own, and run through the real commands."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ruamel.yaml import YAML

HERE = Path(__file__).parent
FILES = HERE / "files"
SOURCE = HERE.parents[1] / "src"


@dataclass(frozen=True)
class Case:
    """One entry of cases.yaml; its keys are explained there."""

    row: str
    file: str
    refused: dict[str, str] | None = None
    accepted: list[str] | None = None
    more: int = 0
    set: list[str] = field(default_factory=list)
    command: str = ""
    without: list[str] = field(default_factory=list)
    only: str = ""

    @property
    def kind(self) -> str:
        """run, data, ratings, canon, general, worlds or models."""
        return self.file.split("/")[0]

    @property
    def name(self) -> str:
        """The file's or folder's own name."""
        return self.file.split("/")[1]

    def words(self) -> list[str]:
        """The command line, in the folder that `lay_out` made."""
        file = self.name if self.kind == "run" else "run.yaml"
        command = self.command or ("train" if self.refused else ACCEPTED_BY[self.kind])
        words = [*COMMANDS[command], file]
        if self.kind == "worlds":
            return ["world", "check", "world", *(["--json"] if self.accepted else [])]
        if self.kind in SETTINGS:
            value = "./model" if self.kind == "models" else self.name
            words += [f"--{SETTINGS[self.kind]}", value]
        return [*words, *self.set]


SETTINGS = {
    "data": "data.train.0.path",
    "ratings": "evaluation.ratings",
    "canon": "evaluation.canon",
    "general": "evaluation.general",
    "models": "model.name",
}
ACCEPTED_BY = {"run": "config", "data": "show", "ratings": "dry-run", "models": "dry-run", "worlds": "world"}
COMMANDS = {
    "train": ["train"],
    "dry-run": ["train", "--dry-run"],
    "config": ["config", "show"],
    "show": ["data", "show", "--count", "100", "--json"],
    "check": ["data", "check"],
    "world": [],
}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@cache
def load_cases() -> list[Case]:
    """Every case of the manifest."""
    return [Case(**entry) for entry in YAML(typ="safe", pure=True).load(HERE / "cases.yaml")]


@cache
def load_rows() -> dict[str, dict[str, Any]]:
    """Each kind of mistake: `input` and what becomes of it."""
    return dict(YAML(typ="safe", pure=True).load(HERE / "rows.yaml"))


def lay_out(case: Case, folder: Path, tiny_model: Path) -> None:
    """A small sound project in `folder`, spoilt by the case's file."""
    shutil.copytree(FILES / "good", folder, dirs_exist_ok=True)
    spoilt = FILES / case.file
    if case.kind == "worlds":
        shutil.copytree(spoilt, folder / "world", dirs_exist_ok=True)
    elif case.kind == "models":
        lay_out_model(spoilt, folder / "model", tiny_model, case.without)
    else:
        shutil.copy(spoilt, folder)


def lay_out_model(spoilt: Path, model: Path, tiny_model: Path, without: list[str]) -> None:
    """The tiny model with the case's files over it; edit.json changes single values of its JSON files."""
    shutil.copytree(tiny_model, model)
    for name in without:
        (model / name).unlink(missing_ok=True)
    for path in spoilt.iterdir():
        if path.name not in ("edit.json", "README"):
            shutil.copy(path, model)
    edits = json.loads((spoilt / "edit.json").read_text()) if (spoilt / "edit.json").is_file() else {}
    for name, values in edits.items():
        known = json.loads((model / name).read_text(encoding="utf-8"))
        (model / name).write_text(json.dumps(known | values), encoding="utf-8")


def run_here(words: list[str], folder: Path) -> Done:
    """`eterna WORDS` in this process: the program's own entry, its streams caught."""
    from eterna.cli.main import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(folder),
        patch.object(sys, "argv", ["eterna", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1 if error.code else 0
    return Done(code, out.getvalue(), err.getvalue())


def run_apart(words: list[str], folder: Path) -> Done:
    """`eterna WORDS` in a process of its own."""
    environment = {**os.environ, "COLUMNS": "120", "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-m", "eterna", *words], cwd=folder, env=environment, capture_output=True, timeout=120
    )
    return Done(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


def listing(folder: Path) -> dict[str, str]:
    """Every name below a folder with its content's hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def check_refusal(case: Case, done: Done) -> None:
    """Exit code 2, place, value and fix on stderr, and nothing that a terminal would obey."""
    assert case.refused is not None
    assert done.code == 2, done.out + done.err
    for part in ("place", "value", "fix"):
        assert case.refused.get(part, "").casefold() in done.err.casefold(), (part, done.err)
    assert "fix: " in done.err, done.err
    assert "Traceback" not in done.err
    further = f"... and {case.more} more problems" if case.more else ""
    assert further in done.err, done.err
    assert len(done.err) < 20_000
    assert all(sign.isprintable() or sign == "\n" for sign in done.err), ascii(done.err)


def check_acceptance(case: Case, done: Done) -> None:
    """Exit code 0, and each text of the case in what was printed or in what the model gets."""
    assert case.accepted is not None
    assert done.code == 0, done.out + done.err
    said = done.out
    if done.out.startswith("[") and (case.command or ACCEPTED_BY[case.kind]) == "show":
        said = "\n".join("".join(piece["text"] for piece in one["pieces"]) for one in json.loads(done.out))
    for text in case.accepted:
        assert text in said, done.out
