"""Run every command of docs/guide.md in order and write what it prints under it: `python scripts/guide_docs.py`.

The commands run in an empty folder that holds `guide.yaml` (recipes/guide.yaml) and `tiny-mistral/`, a Mistral with
random weights. With --check nothing is written; a line that is no longer printed is shown and the exit code is 1.
Numbers are not compared: they differ between machines.
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
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide.md"
BLOCK = re.compile(r"```(console|python)\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"[+-]?\d[\d.,:e+-]*")
LIMIT_SECONDS = 300


def prepare(folder: Path) -> None:
    """What the page says is there before its first command."""
    shutil.copy(ROOT / "recipes" / "guide.yaml", folder)
    make = runpy.run_path(str(ROOT / "recipes" / "mistral_tiny.py"))["make_mistral_tiny"]
    make(folder / "tiny-mistral")


def run(command: str, folder: Path) -> str:
    """What a shell command prints, errors included, ended by its exit code where that is not 0."""
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]),
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


def outputs(text: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """(block, command, output) of every block: each `$ ` line of a console block, a python block as a whole."""
    for block in BLOCK.finditer(text):
        if block[1] == "python":
            file = folder / "snippet.py"
            file.write_text(block[2], encoding="utf-8")
            yield block[0], block[2], run("python snippet.py", folder)
            continue
        for line in block[2].splitlines():
            if line.startswith("$ "):
                yield block[0], line, run(line[2:], folder)


def masked(line: str) -> str:
    """A line without its numbers and with single spaces."""
    return " ".join(NUMBER.sub("#", line).split())


def missing_lines(text: str, folder: Path) -> list[str]:
    """Documented lines that the commands do not print any more; a Python block that fails counts whole."""
    printed: dict[str, list[str]] = {}
    lost = []
    for block, command, output in outputs(text, folder):
        printed.setdefault(block, []).extend(masked(line) for line in output.splitlines())
        if block.startswith("```python") and "(exit code" in output:
            lost.append(f"{command}\n{output}")
    for block, lines in printed.items():
        documented = block.splitlines()[1:-1] if block.startswith("```console") else []
        lost += [line for line in documented if line and not line.startswith("$ ") and masked(line) not in lines]
    return lost


def rewritten(text: str, folder: Path) -> str:
    """The page with fresh outputs."""
    fresh: dict[str, list[str]] = {}
    for block, command, output in outputs(text, folder):
        if block.startswith("```console"):
            fresh.setdefault(block, []).append(f"{command}\n{output}".rstrip())
        elif "(exit code" in output:
            sys.exit(f"{command}\n{output}")
    for block, parts in fresh.items():
        text = text.replace(block, "```console\n" + "\n".join(parts) + "\n```")
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
