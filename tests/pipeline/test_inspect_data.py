"""What `data check` counts and `data show` shows is what training gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eterna.config import LoadedConfig, config_from_values
from eterna.data import Encoded, Encoder
from eterna.errors import UserError
from eterna.pipeline.check_data import answer_ends, check_data, count_lengths, load_run_data
from eterna.pipeline.plan import make_plan
from eterna.pipeline.show_data import show_data, split_pieces
from eterna.reports.tokens import build_token_page


def loaded(values: dict[str, Any], **data: Any) -> LoadedConfig:
    return config_from_values({**values, "data": {**values["data"], **data}})


def write_pairs(path: Path, *pairs: tuple[str, str]) -> dict[str, str]:
    rows = [json.dumps({"prompt": prompt, "completion": answer}, ensure_ascii=False) for prompt, answer in pairs]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return {"path": str(path)}


def test_the_data_are_those_of_the_plan(run_values: dict[str, Any]) -> None:
    config = loaded(run_values)
    prepared, planned = load_run_data(config).prepared, make_plan(config).data
    assert (prepared.train, prepared.eval, prepared.reports) == (planned.train, planned.eval, planned.reports)


def test_each_source_tells_how_its_answers_end(run_values: dict[str, Any], tmp_path: Path) -> None:
    text = tmp_path / "long.txt"
    text.write_text("una lámpara y otra lámpara " * 60, encoding="utf-8")
    config = loaded(run_values, train=[*run_values["data"]["train"], {"path": str(text)}], max_length=100, too_long="drop")  # fmt: skip
    with pytest.raises(UserError):
        check_data(loaded(run_values, max_length=20))
    chats, _, _ = check_data(config).sources
    assert 0 < chats.report.examples < 12
    assert chats.answers == chats.stopped
    assert chats.answers >= chats.report.examples

    pieces = check_data(loaded(run_values, train=[{"path": str(text)}], max_length=100, too_long="split")).sources[0]
    assert pieces.answers == pieces.report.examples > 2
    assert pieces.stopped == 1


def test_with_loss_on_everything_no_answer_is_told_apart(run_values: dict[str, Any]) -> None:
    assert check_data(loaded(run_values, train_on="all")).sources[0].stopped is None


def test_a_book_tells_what_was_taken_off_it(run_values: dict[str, Any], tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("EL FARO\n\nCAPÍTULO I\n\nAbrió el libro y leyó.\n\nFIN\n", encoding="utf-8")
    found = check_data(loaded(run_values, train=[{"path": str(book), "format": "book"}]))
    assert (
        f"{book}: 1 chapter, 1 scene; taken off front: 1 line: title page (line 1, 1 line: EL FARO)" in found.notes[-1]
    )


def test_the_ends_of_runs_of_trained_tokens() -> None:
    assert answer_ends([0, 1, 1, 0, 0, 0.5, 0, 1]) == [2, 5, 7]


def test_every_example_is_in_one_bar_of_the_histogram(run_values: dict[str, Any]) -> None:
    prepared = load_run_data(loaded(run_values)).prepared
    bars = count_lengths(prepared, 50)
    assert sum(bar.train for bar in bars) == len(prepared.train)
    assert sum(bar.eval for bar in bars) == len(prepared.eval)
    assert bars[-1].high is None
    assert bars[-1].eval == sum(len(example.ids) > 50 for example in prepared.eval) > 0


def test_duplicates_are_named_with_both_places(run_values: dict[str, Any], tmp_path: Path) -> None:
    train = write_pairs(tmp_path / "a.jsonl", ("Who?", "Abel."), ("Where?", "Here."), ("Who?", "Abel."))
    held = write_pairs(tmp_path / "b.jsonl", ("When?", "Late."), ("Where?", "Here."))
    check = check_data(loaded(run_values, train=[train], eval=[held]))
    assert [(one.kind, str(one.first), str(one.second)) for one in check.copies] == [
        ("leak", f"{tmp_path}/a.jsonl:2", f"{tmp_path}/b.jsonl:2"),
        ("duplicate", f"{tmp_path}/a.jsonl:1", f"{tmp_path}/a.jsonl:3"),
    ]
    assert check.warnings == [
        "1 exact duplicate between train and eval, so scores are flattered",
        "1 exact duplicate inside train, seen more than once",
    ]


def test_a_copy_of_a_text_is_named_once_whatever_it_is_split_into(run_values: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(
            "Abel keeps the lamps and counts each one before he sleeps. " * 6, encoding="utf-8"
        )
    sources = [{"path": str(tmp_path / name)} for name in ("a.txt", "b.txt")]
    (copy,) = check_data(loaded(run_values, train=sources, eval=[], max_length=40, too_long="split")).copies
    assert str(copy) == f"duplicate: {tmp_path}/a.txt:1 = {tmp_path}/b.txt:1"


def test_what_was_lost_and_what_is_missing_is_warned_of(run_values: dict[str, Any]) -> None:
    check = check_data(loaded(run_values, eval=[], max_length=60, too_long="drop"))
    assert "examples dropped" in check.warnings[0]
    assert check.warnings[1].startswith("no held-out data")
    assert "tokens cut off the left" in check_data(loaded(run_values, max_length=60, too_long="cut_left")).warnings[0]


def test_the_pieces_are_the_example_s_own_tokens(run_values: dict[str, Any], tiny_tokenizer: Any) -> None:
    config = loaded(run_values)
    example = load_run_data(config).prepared.train[2]
    (shown,) = show_data(config, wanted="c2")
    assert tuple(item for piece in shown.pieces for item in piece.ids) == example.ids
    assert "".join(piece.text for piece in shown.pieces) == tiny_tokenizer.decode(example.ids)
    assert "¿Qué libro es este?" in "".join(piece.text for piece in shown.pieces if piece.weight == 0)
    stops = [piece for piece in shown.pieces if piece.special and piece.weight > 0]
    assert {piece.text for piece in stops} == {"<|im_end|>"}
    assert sum(len(piece.ids) for piece in shown.pieces if piece.weight > 0) == shown.trained


def test_bytes_of_one_sign_are_one_piece(tiny_tokenizer: Any) -> None:
    encoder = Encoder(tiny_tokenizer)
    example = encoder.text("x", "a 🜁 lamp")
    pieces = split_pieces(encoder, example)
    assert any("🜁" in piece.text and len(piece.ids) > 1 for piece in pieces)
    assert "\ufffd" not in "".join(piece.text for piece in pieces)
    cut = Encoded("x", example.ids[:3], (0.0, 1.0, 1.0), 0)
    assert tuple(item for piece in split_pieces(encoder, cut) for item in piece.ids) == cut.ids


def test_an_example_is_found_by_id_and_by_number(run_values: dict[str, Any], chat_file: Path) -> None:
    config = loaded(run_values)
    for wanted in ("c1", f"{chat_file}#c1", "2"):
        assert [one.id for one in show_data(config, "eval", wanted)] == [f"{chat_file}#c1"]
    assert len(show_data(config, count=5)) == 5


@pytest.mark.parametrize(("wanted", "fix"), [("c99", "did you mean"), ("13", "a number from 1 to 12"), ("0", "a number from 1")])  # fmt: skip
def test_an_example_that_does_not_exist_is_refused(wanted: str, fix: str, run_values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"no example '{wanted}' in data.train") as caught:
        show_data(loaded(run_values), wanted=wanted)
    assert fix in str(caught.value)


def test_the_page_escapes_what_examples_hold(run_values: dict[str, Any], tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "a.jsonl", ("<script>alert(1)</script>", "\u202eAbel & Ines"))
    page = build_token_page("run & more", show_data(loaded(run_values, train=[source], eval=[])))
    assert "<script>" not in page
    assert "<title>run &amp; more</title>" in page
    assert "\u202e" not in page
    assert '<span class="sign">U+202E</span>' in page
    assert 'class="piece special trained"' in page
    assert "prefers-color-scheme: dark" in page
    assert "http" not in page


def test_a_part_without_data_is_said_to_be_empty(run_values: dict[str, Any]) -> None:
    config = loaded(run_values, eval=[])
    for wanted in (None, "1"):
        with pytest.raises(UserError, match=r"data\.eval is empty"):
            show_data(config, "eval", wanted)
