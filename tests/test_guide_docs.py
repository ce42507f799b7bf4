"""The checker of docs/guide.md notices what it should, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.guide_docs import masked, missing_lines, rewritten, run


def console(*lines: str) -> str:
    return "```console\n" + "\n".join(lines) + "\n```\n"


def test_a_line_that_is_not_printed_is_noticed(tmp_path: Path) -> None:
    assert missing_lines(console("$ echo one 1", "one 7", "two"), tmp_path) == ["two"]


def test_a_line_that_another_command_prints_is_noticed(tmp_path: Path) -> None:
    assert missing_lines(console("$ echo one", "two", "$ echo two", "two"), tmp_path) == ["two"]


def test_an_exit_code_that_the_page_does_not_show_is_noticed(tmp_path: Path) -> None:
    assert missing_lines(console("$ echo one; exit 3", "one"), tmp_path) == ["$ echo one; exit 3\none\n(exit code 3)"]
    assert missing_lines("```python\nraise SystemExit(3)\n```\n", tmp_path) == ["raise SystemExit(3)\n(exit code 3)"]


def test_another_exit_code_than_the_page_shows_is_noticed(tmp_path: Path) -> None:
    assert missing_lines(console("$ exit 3", "(exit code 3)"), tmp_path) == []
    assert missing_lines(console("$ exit 1", "(exit code 3)"), tmp_path) == ["(exit code 3)", "$ exit 1\n(exit code 1)"]
    assert missing_lines(console("$ true", "(exit code 3)"), tmp_path) == ["(exit code 3)"]


def test_a_failure_in_the_middle_of_a_pipe_counts(tmp_path: Path) -> None:
    assert missing_lines(console("$ (echo one; exit 4) | cat", "one", "(exit code 4)"), tmp_path) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("step 1/48  loss 10.384  1,319 tokens/s  2 min 04 s left", "step 1/48  loss 9.1  50 tokens/s  50 s left"),
        ("step 1/48  loss 10.384  1,319 tokens/s  2 h 07 min left", "step 1/48  loss 9.1  50 tokens/s  5 s left"),
        ("bleu   +0.058 [-1e-05, 0.072]", "bleu  -2 [3, 4]"),
        ("precision fp32 (no GPU)", "precision bf16 (the GPU has it)"),
    ],
)
def test_what_differs_between_machines_is_not_compared(one: str, other: str) -> None:
    assert masked(one) == masked(other)


def test_words_are_compared() -> None:
    assert masked("5 minutes left out") != masked("5 hours left out")
    assert masked("3 s left") != masked("3 s right")
    assert masked("precision bf16 (asked for)") != masked("precision fp16 (asked for)")


def test_a_fresh_page_has_the_new_output(tmp_path: Path) -> None:
    page = "# One\n\n" + console("$ echo one", "zero", "$ exit 3", "(exit code 3)") + "\ntext\n"
    assert rewritten(page, tmp_path) == page.replace("zero", "one")


def test_a_page_is_not_rewritten_with_a_failure(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="exit code 3"):
        rewritten(console("$ exit 3"), tmp_path)


def test_commands_see_no_gpu_and_nothing_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "HF_HUB_CACHE", "HF_TOKEN", "ETERNA_TRAINING__SEED", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("HF_HOME", "/somewhere/else")
    command = "env | grep -E '^(CUDA_VISIBLE_DEVICES|HF_|ETERNA_|MLFLOW_)' | sort"
    assert run(command, tmp_path).splitlines() == [
        "CUDA_VISIBLE_DEVICES=",
        f"HF_HOME={tmp_path}/.huggingface",
        "HF_HUB_OFFLINE=1",
    ]
