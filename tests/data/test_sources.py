"""Formats read, and bad lines named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from eterna.config import Columns, DataSection, Source
from eterna.data import RawExample, read_source, read_sources
from eterna.data.sources import distinct_labels
from eterna.errors import DataError, UserError

GOOD = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}


def read(path: Path, columns: Columns | None = None, **source: Any) -> list[RawExample]:
    return read_source(Source(path=str(path), **source), columns or Columns(), None, "train").examples


def write(tmp_path: Path, *rows: Any, name: str = "data.jsonl") -> Path:
    path = tmp_path / name
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_messages(tmp_path: Path) -> None:
    assert read(write(tmp_path, GOOD))[0].messages == tuple(GOOD["messages"])


def test_prompt_and_completion_as_text_or_messages(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"prompt": "Hi", "completion": "Hello."},
        {"prompt": GOOD["messages"][:1], "completion": GOOD["messages"][1:]},
    )
    one, other = read(path)
    assert one.messages == other.messages == tuple(GOOD["messages"])


def test_other_column_names(tmp_path: Path) -> None:
    path = write(tmp_path, {"question": "Hi", "reply": "Hello."})
    found = read(path, Columns(prompt="question", completion="reply"))
    assert found[0].messages[1]["content"] == "Hello."


def test_text_lines_and_text_files(tmp_path: Path) -> None:
    assert read(write(tmp_path, {"text": "One."}))[0].text == "One."
    path = tmp_path / "book.txt"
    path.write_bytes("\ufeffUno.\r\nDos.".encode())
    assert read(path)[0].text == "Uno.\nDos."


def test_a_line_separator_inside_a_text_does_not_break_the_line(tmp_path: Path) -> None:
    assert read(write(tmp_path, {"text": "a\u2028b"}))[0].text == "a\u2028b"


BAD = {
    "not json": ("{", r"data.jsonl:2:\d+: not valid JSON"),
    "cut off": ('{"messages": [{"role"', "one complete JSON object a line"),
    "a list": ("[1]", "expected a JSON object"),
    "key twice": ('{"text": "a", "text": "b"}', "stands twice in one object"),
    "nan": ('{"text": "a", "x": NaN}', "NaN is not a JSON number"),
    "lone surrogate": ('{"text": "\\ud800"}', "lone surrogate"),
    "deep": ('{"text": ' + "[" * 80 + "]" * 80 + "}", "deep"),
    "unknown columns": ({"foo": 1}, "map other names under data.columns"),
    "null content": ({"messages": [{"role": "user", "content": None}]}, "message 1 has the content None"),
    "unknown role": ({"messages": [{"role": "asistant", "content": "x"}]}, "did you mean 'assistant'"),
    "no answer": ({"messages": [{"role": "user", "content": "x"}]}, "holds no answer"),
    "ends with user": (
        {"messages": [*GOOD["messages"], {"role": "user", "content": "x"}]},
        "the last message is the user's",
    ),
    "late system": (
        {"messages": [*GOOD["messages"], {"role": "system", "content": "x"}, GOOD["messages"][1]]},
        "stands first",
    ),
    "empty text": ({"text": "  "}, "expected text"),
    "missing completion": ({"prompt": "x", "completion": None}, "the column completion is empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_line_is_named_with_a_fix(tmp_path: Path, case: str) -> None:
    line, expected = BAD[case]
    with pytest.raises(UserError, match=expected) as caught:
        read(write(tmp_path, GOOD, line))
    assert "data.jsonl:2" in str(caught.value)


def test_all_bad_lines_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(write(tmp_path, "{", GOOD, "[]", {"foo": 1}))
    assert [problem.place.line for problem in caught.value.problems if problem.place] == [1, 3, 4]


def test_no_more_than_twenty_are_shown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="and 10 more problems"):
        read(write(tmp_path, *["{"] * 30))


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'a' stands twice \(first at .*:1\)"):
        read(write(tmp_path, {**GOOD, "id": "a"}, {**GOOD, "id": "a"}))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("año".encode("latin-1"), "byte 1 .0xf1. is not UTF-8"),
        ("año".encode("utf-16"), "is UTF-16"),
        (b"a\0b", "NUL byte"),
        (b'[{"text": "x"}]', "one JSON array"),
        (b"\n\n", "holds no examples"),
        (b"", "holds no examples"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, raw: bytes, expected: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(raw)
    with pytest.raises(UserError, match=expected):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "nothing.jsonl")


def test_files_of_one_name_in_two_folders_share_no_ids_and_no_groups(tmp_path: Path) -> None:
    sources = []
    for folder in ("en", "es"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, GOOD).rename(tmp_path / folder / "valid.jsonl")
        (tmp_path / folder / "tale.txt").write_text(f"A tale in {folder}.", encoding="utf-8")
        (tmp_path / folder / "book.txt").write_text(
            "CHAPTER I\n\nIt began.\n\nCHAPTER II\n\nIt ended.\n", encoding="utf-8"
        )
        pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / folder / "rows.parquet")
        sources += [{"path": str(tmp_path / folder / name)} for name in ("valid.jsonl", "tale.txt", "rows.parquet")]
        sources.append({"path": str(tmp_path / folder / "book.txt"), "format": "book"})
    found = read_sources(DataSection.model_validate({"train": sources}), None)
    examples = [example for source in found for example in source.content.examples]
    assert len({example.id for example in examples}) == len(examples)
    groups = [{example.group for example in source.content.examples} for source in found]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert examples[0].id == "en/valid.jsonl:1"


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["a/x.jsonl", "b/y.jsonl"], ["x.jsonl", "y.jsonl"]),
        (["r/en/x.jsonl", "r/es/x.jsonl", "q/y.jsonl"], ["en/x.jsonl", "es/x.jsonl", "y.jsonl"]),
        (["1/en/x.jsonl", "2/en/x.jsonl", "x.jsonl"], ["1/en/x.jsonl", "2/en/x.jsonl", "x.jsonl"]),
        (["x.jsonl", "./x.jsonl"], ["x.jsonl", "x.jsonl"]),
    ],
)
def test_a_file_is_called_by_the_shortest_path_that_tells_it_apart(paths: list[str], labels: list[str]) -> None:
    assert list(distinct_labels(paths).values()) == labels
