"""`data.skip_bad`: rows that cannot be used are left out, counted and kept aside; without it they stop the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eterna.config import Columns, DataSection, Source
from eterna.data import prepare_data, read_source, read_sources
from eterna.errors import DataError

GOOD = '{"id": "a", "prompt": "Hi", "completion": "Hello."}'
BAD = ["{", '{"foo": 1}', '{"prompt": "Hi", "completion": " "}', GOOD, '{"text": "\\ud800"}']
SIGNS = ["not valid JSON", "columns are", "content ' '", "stands twice", "lone surrogate"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.jsonl").write_text("\n".join([GOOD, *BAD, GOOD.replace('"a"', '"b"')]), encoding="utf-8")
    return tmp_path / "a.jsonl"


def test_bad_rows_are_left_out_and_kept_with_place_reason_and_text(path: Path) -> None:
    found = read_source(Source(path=str(path)), Columns(), None, "train", skip_bad=True)
    assert [one.id for one in found.examples] == ["a", "b"]
    rows = [one.record() for one in found.skipped]
    assert [(row["file"], row["line"]) for row in rows] == [(str(path), line) for line in range(2, 7)]
    assert all(sign in row["problem"] for sign, row in zip(SIGNS, rows, strict=True))
    assert [rows[0]["row"], rows[4]["row"]] == [BAD[0], BAD[4]]
    assert [json.loads(rows[number]["row"]) for number in (1, 2, 3)] == [
        json.loads(BAD[number]) for number in (1, 2, 3)
    ]


def test_without_it_they_are_all_named(path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_source(Source(path=str(path)), Columns(), None, "train")
    assert [one.place.line for one in caught.value.problems if one.place] == [2, 3, 4, 5, 6]


def test_rows_of_tables_and_csv_files_are_skipped_too(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list([{"text": "One."}, {"text": " "}]).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("prompt,completion\nHi,Hello.\nHi\n", encoding="utf-8")
    for name, line, raw in (("a.parquet", None, '{"text": " "}'), ("a.csv", 3, "Hi")):
        found = read_source(Source(path=str(tmp_path / name)), Columns(), None, "train", skip_bad=True)
        assert (len(found.examples), found.skipped[0].place.line, found.skipped[0].raw) == (1, line, raw)


def test_a_long_row_is_kept_only_in_part(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD + "\n{" + "ñ" * 20_000, encoding="utf-8")
    found = read_source(Source(path=str(tmp_path / "a.jsonl")), Columns(), None, "train", skip_bad=True)
    assert 9_990 < len(found.skipped[0].raw.encode("utf-8")) <= 10_000


def test_a_source_without_a_usable_row_still_stops(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(BAD[:3]), encoding="utf-8")
    with pytest.raises(DataError, match="holds no examples that can be used") as caught:
        read_source(Source(path=str(tmp_path / "a.jsonl")), Columns(), None, "train", skip_bad=True)
    assert len(caught.value.problems) == 4


def test_a_file_of_another_kind_still_stops(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text\nx\n"y\n', encoding="utf-8")
    with pytest.raises(DataError, match="not valid CSV"):
        read_source(Source(path=str(tmp_path / "a.csv")), Columns(), None, "train", skip_bad=True)


def test_the_report_counts_them(path: Path, tiny_tokenizer: Any) -> None:
    data = DataSection(train=[Source(path=str(path))], skip_bad=True)
    read = read_sources(data, None)
    report = prepare_data(read, data, tiny_tokenizer).reports[0]
    assert (report.read, report.skipped) == (2, 5)
    assert {(row["part"], row["source"]) for row in read[0].skipped_rows()} == {("train", str(path))}
