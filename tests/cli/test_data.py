"""`eterna data check` and `eterna data show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run

from eterna.config.writing import to_yaml


@pytest.fixture
def run_file(run_values: dict[str, Any], tmp_path: Path) -> Path:
    (tmp_path / "run.yaml").write_text(to_yaml(run_values), encoding="utf-8")
    return tmp_path / "run.yaml"


def test_check_warns_of_held_out_examples_that_are_trained_on(eterna: Run, run_file: Path) -> None:
    done = eterna("data", "check", "run.yaml", "--data.max_length", "240")
    assert done.returncode == 0, done.stderr
    assert "lengths in tokens (window 240)" in done.stdout
    assert "warning: 12 exact duplicates between train and eval" in done.stdout
    assert "leak: chat.jsonl:1 = chat.jsonl:1" in done.stdout.replace(str(run_file.parent) + "/", "")
    assert "... and 8 more; --json lists them all" in done.stdout
    found = json.loads(eterna("data", "check", "run.yaml", "--json").stdout)
    assert len(found["copies"]) == 18
    assert found["copies"][0]["kind"] == "leak"
    assert [source["examples"] for source in found["sources"]] == [12, 12]


def test_check_names_wrong_lines_and_fails(eterna: Run, run_file: Path, chat_file: Path) -> None:
    with chat_file.open("a", encoding="utf-8") as file:
        file.write('{"messages": []}\n')
    done = eterna("data", "check", "run.yaml")
    assert done.returncode == 2
    assert f"{chat_file}:13: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_show_puts_what_is_trained_in_brackets_where_there_is_no_colour(eterna: Run, run_file: Path) -> None:
    done = eterna("data", "show", "run.yaml", "--example", "c0", FORCE_COLOR="")
    assert done.returncode == 0, done.stderr
    assert "⟦It does not end. It only turns, and every turn is a landing.<|im_end|>⟧" in done.stdout
    assert "\x1b[" not in done.stdout
    assert "weight 1" in done.stdout


def test_show_colours_tokens_on_a_terminal(eterna: Run, run_file: Path) -> None:
    shown = eterna("data", "show", "run.yaml", "--example", "1", FORCE_COLOR="1", TERM="xterm").stdout
    assert "⟦" not in shown
    assert "\x1b[1;33m<|im_end|>" in shown
    assert "\x1b[1;32m" in shown
    assert "\x1b[2m" in shown


def test_show_writes_a_page_or_json(eterna: Run, run_file: Path, tmp_path: Path) -> None:
    done = eterna("data", "show", "run.yaml", "--part", "eval", "--count", "2", "--html", "out/tokens.html", "--json")
    assert done.returncode == 0, done.stderr
    assert [one["part"] for one in json.loads(done.stdout)] == ["eval", "eval"]
    assert (tmp_path / "out" / "tokens.html").read_text(encoding="utf-8").count("<h2>") == 2
