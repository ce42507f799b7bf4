"""`eterna data check` says what became of every row, who answers, and in which language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eterna.config import load_config
from eterna.pipeline.check_data import DataCheck, check_data


def pair(name: str, answer: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"{name}?"}, {"role": "assistant", "content": answer, "name": name}]
    return {"messages": messages, **more}


ROWS = [
    pair("Abel", "The lamps above the stair are lit before the evening comes.", language="en"),
    pair("Abel", "Las lámparas de la escalera se encienden antes de que llegue la noche."),
    pair("Ida", "I mend the spines of the books that nobody has opened yet."),
    pair("Ida", "It is the same for all of them. " * 30),
    {"messages": []},
]


def check(tmp_path: Path, tiny_model: Path, rows: list[dict[str, Any]], **data: Any) -> DataCheck:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = {
        "model": {"name": str(tiny_model)},
        "data": {"train": [{"path": str(path)}], "max_length": 128, **data},
        "generation": {"max_new_tokens": 8},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(run), encoding="utf-8")
    return check_data(load_config(tmp_path / "run.yaml"))


def test_every_row_is_accounted_for_filter_by_filter(tmp_path: Path, tiny_model: Path) -> None:
    rows = [*ROWS, ROWS[0]]
    found = check(tmp_path, tiny_model, rows, skip_bad=True, too_long="drop", duplicates="remove", train_on=["Ida"])
    line = found.sources[0].filters("drop")
    assert (
        "5 read, 1 left out as unusable (skip_bad), 1 removed as copies, 2 of other speakers (train_on), 1 dropped"
        in line
    )
    assert found.sources[0].report.examples == 1
    assert found.sources[0].report.dropped_tokens > 128


def test_voices_and_languages_are_counted(tmp_path: Path, tiny_model: Path) -> None:
    found = check(tmp_path, tiny_model, ROWS[:3])
    assert {kind.name: kind.train for kind in found.speakers} == {"Abel": 2, "Ida": 1}
    assert {kind.name: kind.train for kind in found.languages} == {"en": 2, "es": 1}
    assert sum(kind.trained_tokens for kind in found.speakers) == found.sources[0].report.trained_tokens


def test_an_answer_that_does_not_learn_to_stop_is_a_warning(tmp_path: Path, tiny_model: Path) -> None:
    row = pair("Abel", "First.")
    row["messages"].append({"role": "assistant", "content": "Then this is only said.", "name": "Abel", "weight": 0})
    found = check(tmp_path, tiny_model, [row, ROWS[0]])
    assert any("1 answer without a trained stop token" in line for line in found.warnings)
