"""What was cut, left out or weighed is seen where the examples are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eterna.config import load_config
from eterna.errors import UserError
from eterna.pipeline.show_data import ShownExample, show_data
from eterna.reports.tokens import build_token_page

ROWS = [
    {"id": "long", "messages": [{"role": "user", "content": "lamp " * 60}, {"role": "assistant", "content": "Yes."}]},
    {
        "id": "two",
        "turns": [
            {"speaker": "player", "text": "Who?"},
            {"speaker": "Abel", "text": "I.", "weight": 2.5},
            {"speaker": "Ida", "text": "And I."},
        ],
    },
]


def show(tmp_path: Path, tiny_model: Path, wanted: str | None, **data: Any) -> list[ShownExample]:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    settings = {"train": [{"path": str(path)}], "max_length": 64, "too_long": "cut_left", **data}
    run = {"model": {"name": str(tiny_model)}, "data": settings, "generation": {"max_new_tokens": 8}}
    (tmp_path / "run.yaml").write_text(json.dumps(run), encoding="utf-8")
    return show_data(load_config(tmp_path / "run.yaml"), wanted=wanted)


def test_what_was_cut_is_shown_where_it_was_cut(tmp_path: Path, tiny_model: Path) -> None:
    (example,) = show(tmp_path, tiny_model, "long")
    assert example.tokens == 64
    assert example.cut > 0
    assert f"✂ {example.cut} tokens cut off here" in build_token_page("t", [example])


def test_a_loss_weight_is_shown_where_it_begins(tmp_path: Path, tiny_model: Path) -> None:
    (example,) = show(tmp_path, tiny_model, "two@Abel")
    assert {piece.weight for piece in example.pieces} == {0.0, 2.5}
    assert build_token_page("t", [example]).count("×2.5") == 1
    assert example.text.endswith("I.<|im_end|>\n")


@pytest.mark.parametrize(
    ("wanted", "data", "reason"),
    [
        ("long", {"too_long": "drop"}, "longer than data.max_length 64"),
        ("two@Abel", {"train_on": ["Ida"]}, "'Abel', who is not in data.train_on"),
    ],
)
def test_an_example_that_is_left_out_says_why(
    tmp_path: Path, tiny_model: Path, wanted: str, data: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        show(tmp_path, tiny_model, wanted, **data)
