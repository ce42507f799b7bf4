"""The records of a run after a kill, and what they say of the working folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from eterna.runs import RunFolder, environment_record


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    for step in (1, 2, 3):
        run.add_metrics({"step": step, "note": "año"})
    return run


@pytest.mark.parametrize("left", [-1, -8, 1])
def test_a_line_that_a_kill_cut_short_is_dropped_on_resume(run: RunFolder, left: int) -> None:
    file = run.path / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:left])
    run.drop_after(3)
    assert [row["step"] for row in run.metrics()] == [1, 2]
    run.add_metrics({"step": 3})
    assert [row["step"] for row in run.metrics()] == [1, 2, 3]


def test_a_file_whose_first_line_was_cut_short_begins_anew(run: RunFolder) -> None:
    (run.path / "metrics.jsonl").write_bytes(b'{"form')
    run.drop_after(0)
    run.add_metrics({"step": 1})
    assert [row["step"] for row in run.metrics()] == [1]


def test_what_comes_after_the_checkpoint_is_dropped_on_resume(run: RunFolder) -> None:
    run.drop_after(2)
    assert [row["step"] for row in run.metrics()] == [1, 2]


def test_a_folder_with_a_sign_that_is_no_digit_is_no_checkpoint(run: RunFolder) -> None:
    for name in ("checkpoint-²", "checkpoint-2"):
        (run.path / name).mkdir()
        (run.path / name / "trainer_state.json").write_text("{}", encoding="utf-8")
    assert run.checkpoints() == [run.path / "checkpoint-2"]


def test_a_repository_without_commits_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert environment_record()["git_commit"] is None
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *author, "commit", "--quiet", "--allow-empty", "-m", "x"], check=True)
    assert len(environment_record()["git_commit"]) == 40
