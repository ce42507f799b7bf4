"""Rows of .csv, .tsv and .json files, and files that are not what their names say."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eterna.config import Columns, Source
from eterna.data import RawExample, read_source
from eterna.data.row_files import read_row_file
from eterna.errors import DataError, Problem, UserError


def read(path: Path, **source: Any) -> list[RawExample]:
    return read_source(Source(path=str(path), **source), Columns(), None, "train").examples


def write(folder: Path, name: str, content: str | bytes) -> Path:
    (folder / name).write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return folder / name


def rows_of(path: Path) -> list[Any]:
    return [row for _, _, row in read_row_file(path, "weight")]


def test_a_csv_file_with_quotes_line_breaks_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = write(
        tmp_path, "a.csv", '\ufeffprompt,completion\r\n"Hi, you","He said ""no"".\r\nTwice."\r\n\r\nBye,Go.\r\n'
    )
    one, other = read(path)
    assert one.messages[0]["content"] == "Hi, you"
    assert one.messages[1]["content"] == 'He said "no".\nTwice.'
    assert (one.place and one.place.line, other.place and other.place.line) == (2, 5)
    assert (one.id, other.id) == ("a.csv:2", "a.csv:5")


def test_a_tsv_file_and_one_with_a_single_column(tmp_path: Path) -> None:
    assert (
        read(write(tmp_path, "a.tsv", "prompt\tcompletion\nHi, you\tHello.\n"))[0].messages[0]["content"] == "Hi, you"
    )
    assert read(write(tmp_path, "b.csv", "text\nOne.\n"))[0].text == "One."


def test_cells_are_text_empty_ones_are_absent_and_the_weight_is_a_number(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,text,note,weight\n007,1.50,,0.5\n,no,x,heavy\n,,,\n")
    assert rows_of(path) == [
        {"id": "007", "text": "1.50", "weight": 0.5},
        {"text": "no", "note": "x", "weight": "heavy"},
    ]


BAD_CSV = {
    "too many cells": ("a,b\n1,2\n1,2,3\n", 3, "3 cells where the header has 2", "quotation marks"),
    "too few cells": ('text,b\n"x\ny",2\n1\n', 4, "1 cell where the header has 2", "quotation marks"),
    "unclosed quote": ('text\nx\n"y\nz\n', 3, "not valid CSV", "quotation marks"),
    "text after a quote": ('text\n"x"y\n', 2, "not valid CSV", "quotation marks"),
    "cell too large": ("text\n" + "x" * (8 * 1024 * 1024 + 1) + "\n", 2, "not valid CSV: field larger", ""),
    "semicolons": ("prompt;completion\nHi;x\n", 1, "separated by semicolons", "with commas"),
    "tabs": ("prompt\tcompletion\nHi\tx\n", 1, "separated by tabs", "name it .tsv"),
    "unnamed column": (",text\n0,Hi\n", 1, "column 1 has no name", "index=False"),
    "a name twice": ("text,text\nHi,Ho\n", 1, "the column 'text' stands 2 times", "name each once"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_a_bad_csv_file_is_named_by_the_line_where_the_record_begins(tmp_path: Path, case: str) -> None:
    content, line, message, fix = BAD_CSV[case]
    with pytest.raises(DataError) as caught:
        read(write(tmp_path, "a.csv", content))
    problem = caught.value.problems[0] if "cells" not in case else caught.value.problems[-1]
    assert message in problem.message
    assert fix in str(problem.fix)
    assert problem.place
    assert problem.place.line == line


def test_a_csv_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a.csv:2: byte 6 .0xf1. is not UTF-8"):
        read(write(tmp_path, "a.csv", "text\nañ\n".encode("latin-1")))


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5))
def test_what_a_csv_writer_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["a", "b"], *rows])
    path = write(tmp_path_factory.mktemp("csv"), "a.csv", out.getvalue())
    expected = [dict(zip("ab", row, strict=True)) for row in rows if any(row)]
    assert rows_of(path) == [{name: cell for name, cell in row.items() if cell} for row in expected]


def test_a_json_array_over_several_lines(tmp_path: Path) -> None:
    one, other = read(write(tmp_path, "a.json", '\ufeff [\n {"text": "One.",\n  "id": 1},\n\n {"text": "Two."}]\n'))
    assert (one.id, one.text, other.id, other.text) == ("1", "One.", "a.json:2", "Two.")
    assert str(other.place) == f"{tmp_path / 'a.json'} (element 2):5"


def test_bad_elements_are_all_named_and_the_good_ones_read_on(tmp_path: Path) -> None:
    deep = "[" * 80 + "]" * 80
    bad = [
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        '{"a": "\\ud800"}',
        "[1]",
        f'{{"a": {deep}}}',
        '{"a": 1' + "0" * 5000 + "}",
    ]
    rows = rows_of(write(tmp_path, "a.json", f'[{", ".join(bad)}, {{"text": "x"}}]'))
    messages = [row.message for row in rows[:-1]]
    signs = ("NaN", "twice", "surrogate", "expected a JSON object", "deep", "digits")
    assert all(sign in message for sign, message in zip(signs, messages, strict=True)), messages
    assert rows[-1] == {"text": "x"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "x"}', "holds no JSON array"),
        ("", "holds no JSON array"),
        ('[{"text": "x"}\n {"text": "y"}]', "a comma or ] is missing after element 1"),
        ('[{"text": "x"},]', "not valid JSON"),
        ('[{"text": "x"}, {"te', r"\(element 2\):1:\d+: not valid JSON"),
        ('[{"text": "x"}', "a comma or ] is missing"),
        ('[{"text": "x"}] more', "after the array stands 'more'"),
        ("[]", "holds no examples"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_array_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, "a.json", content))


OBJECTS = st.lists(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=4),
        st.integers() | st.text(st.characters(codec="utf-8")) | st.none(),
    ),
    max_size=4,
)


@given(OBJECTS, st.sampled_from([None, 1]))
def test_what_json_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[Any], indent: Any) -> None:
    path = write(tmp_path_factory.mktemp("json"), "a.json", json.dumps(rows, ensure_ascii=True, indent=indent))
    assert rows_of(path) == rows


@given(st.binary(max_size=200), st.sampled_from([".jsonl", ".json", ".csv", ".tsv"]))
def test_any_bytes_end_as_rows_or_as_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, kind: str
) -> None:
    try:
        assert all(
            isinstance(row, dict | Problem) for row in rows_of(write(tmp_path_factory.mktemp("x"), f"a{kind}", raw))
        )
    except UserError as error:
        assert error.problems


OTHER_KINDS: dict[str, tuple[bytes, str, str]] = {
    "csv": (b"prompt,completion\nHi,Hello.\n", "looks like CSV: it begins 'prompt,completion'", "name it a.csv"),
    "csv with quotes": (b'"prompt","completion"\nHi,Hello.\n', "looks like CSV", "name it a.csv"),
    "semicolons": (b"prompt;completion\nHi;Hello.\n", "looks like CSV with semicolons", "with commas"),
    "tsv": (b"prompt\tcompletion\nHi\tHello.\n", "looks like TSV", "name it a.tsv"),
    "json array": (b'[\n{"text": "x"}\n]', "one JSON array", "name it a.json"),
    "gzip": (gzip.compress(b'{"text": "x"}\n'), "looks like gzip", "gunzip"),
    "zip": (b"PK\x03\x04rest", "looks like a zip archive", "unzip"),
    "parquet": (b"PAR1rest", "looks like Parquet", "name it .parquet"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "git lfs pull"),
}


@pytest.mark.parametrize("case", OTHER_KINDS)
def test_a_jsonl_file_that_is_something_else_is_called_by_its_name(tmp_path: Path, case: str) -> None:
    raw, message, fix = OTHER_KINDS[case]
    with pytest.raises(DataError) as caught:
        read(write(tmp_path, "a.jsonl", raw))
    assert len(caught.value.problems) == 1
    assert message in caught.value.problems[0].message
    assert fix in str(caught.value.problems[0].fix)


def test_packed_tables_are_told_too(tmp_path: Path) -> None:
    for name in ("a.csv", "a.json", "a.tsv"):
        with pytest.raises(DataError, match="looks like gzip"):
            read(write(tmp_path, name, gzip.compress(b"text\nx\n")))
