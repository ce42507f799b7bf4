"""Run every command of docs/guide.md in order and write what it prints under it: `python scripts/guide_docs.py`.

The commands run in an empty folder that holds `guide.yaml` (recipes/guide.yaml) and `tiny-mistral/`, a Mistral with
random weights. They see no GPU, and none of the user's own settings and caches. With --check nothing is written; a line
that is no longer printed is shown and the exit code is 1. Numbers, the time left and the precision that the hardware
decides are not compared: they differ between machines. Exit codes are: a command that is meant to fail has its
`(exit code N)` on the page beforehand.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide.md"
BLOCK = re.compile(r"```(console|python)\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"[+-]?\d[\d.,:e+-]*")
CHOSEN = re.compile(r"^precision +\w+ \((?!asked for).*\)$")
TIME_LEFT = re.compile(r"(\d+ (h|min|s) )+left\b")
EXIT_CODE = re.compile(r"\(exit code -?\d+\)")
USERS_OWN = ("ETERNA_", "HF_", "HUGGINGFACE_", "MLFLOW_", "TRANSFORMERS_")
LIMIT_SECONDS = 300


@dataclass(frozen=True)
class Step:
    """One command of the page."""

    block: str
    """The fenced block it stands in."""
    command: str
    """A `$ ` line, or a whole Python snippet."""
    shown: tuple[str, ...]
    """The lines that the page shows under it."""


def prepare(folder: Path) -> None:
    """What the page says is there before its first command."""
    shutil.copy(ROOT / "recipes" / "guide.yaml", folder)
    make = runpy.run_path(str(ROOT / "recipes" / "mistral_tiny.py"))["make_mistral_tiny"]
    make(folder / "tiny-mistral")


def run(command: str, folder: Path) -> str:
    """What a shell command prints, errors included, ended by its exit code where that is not 0."""
    programs = Path(sys.executable).parent
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(USERS_OWN)},
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HOME": str(folder / ".huggingface"),
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "110",
        "NO_COLOR": "1",
    }
    shell = f"eterna() {{ '{sys.executable}' -m eterna \"$@\"; }}; python() {{ '{sys.executable}' \"$@\"; }}; {command}"
    done = subprocess.run(  # noqa: S603
        ["bash", "-o", "pipefail", "-c", shell],  # noqa: S607
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    text = done.stdout.replace("python -m eterna", "eterna").rstrip()
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines + ([f"(exit code {done.returncode})"] if done.returncode else []))


def steps(text: str) -> Iterator[Step]:
    """Every command of the page in order."""
    for block in BLOCK.finditer(text):
        if block[1] == "python":
            yield Step(block[0], block[2], ())
            continue
        for part in re.split(r"^(?=\$ )", block[2], flags=re.MULTILINE):
            command, *shown = part.splitlines() or [""]
            if command.startswith("$ "):
                yield Step(block[0], command, tuple(line for line in shown if line))


def outputs(text: str, folder: Path) -> Iterator[tuple[Step, list[str]]]:
    """Every command of the page with the lines it prints now."""
    for step in steps(text):
        if step.block.startswith("```python"):
            (folder / "snippet.py").write_text(step.command, encoding="utf-8")
            yield step, run("python snippet.py", folder).splitlines()
        else:
            yield step, run(step.command.removeprefix("$ "), folder).splitlines()


def masked(line: str) -> str:
    """A line without its numbers and the time left, with single spaces; an exit code is kept."""
    if EXIT_CODE.fullmatch(line):
        return line
    line = CHOSEN.sub("precision by the hardware", line)
    return " ".join(NUMBER.sub("#", TIME_LEFT.sub("# left", line)).split())


def unexpected_failure(step: Step, printed: list[str]) -> str:
    """Command and output where it ends in an exit code that the page does not show, else nothing."""
    code = printed[-1] if printed else ""
    if EXIT_CODE.fullmatch(code) and code not in step.shown:
        return "\n".join([step.command.rstrip(), *printed])
    return ""


def missing_lines(text: str, folder: Path) -> list[str]:
    """Documented lines that their command does not print any more; whole, the commands that fail unexpectedly."""
    lost = []
    for step, printed in outputs(text, folder):
        found = {masked(line) for line in printed}
        lost += [line for line in step.shown if masked(line) not in found]
        lost += filter(None, [unexpected_failure(step, printed)])
    return lost


def rewritten(text: str, folder: Path) -> str:
    """The page with fresh outputs."""
    fresh: dict[str, list[str]] = {}
    for step, printed in outputs(text, folder):
        if failure := unexpected_failure(step, printed):
            sys.exit(failure)
        if step.block.startswith("```console"):
            fresh.setdefault(step.block, []).extend([step.command, *printed])
    for block, lines in fresh.items():
        text = text.replace(block, "```console\n" + "\n".join(lines) + "\n```")
    return text


def main() -> int:
    """Command line."""
    text = GUIDE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        if "--check" in sys.argv:
            lost = missing_lines(text, folder)
            print("\n".join(lost))
            return int(bool(lost))
        GUIDE.write_text(rewritten(text, folder), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
