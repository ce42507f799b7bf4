"""The commands as a person types them, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def eterna(tmp_path: Path) -> Run:
    """`eterna("train", "run.yaml", stdin="", NAME="value")`, run in the test's own folder, as if there were no GPU."""

    def run(
        *words: object, cwd: Path = tmp_path, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        before = [environment.pop("PYTHONPATH", ""), str(Path(__file__).parents[2] / "src")]
        own = {"COLUMNS": "120", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(filter(None, before))}
        return subprocess.run(
            [sys.executable, "-m", "eterna", *map(str, words)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **own, **environment},
        )

    return run
