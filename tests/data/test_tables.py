"""Data sets of the `datasets` library: files, saved folders, splits; the Hub is in tests/test_hub.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from eterna.config import Columns, DataSection, Source
from eterna.data import RawExample, read_source, read_sources
from eterna.data.tables import is_table
from eterna.errors import DataError

ROWS = [{"prompt": f"Question {number}?", "completion": f"Answer {number}."} for number in range(12)]


def read(path: Path, split: str | None = None, part: Any = "train", **columns: str) -> list[RawExample]:
    return read_source(Source(path=str(path), split=split), Columns(**columns), None, part).examples


def answers(examples: list[RawExample]) -> list[int]:
    return [int(example.messages[-1]["content"].split()[1].rstrip(".")) for example in examples]


def table_file(folder: Path, ending: str, rows: list[dict[str, Any]] = ROWS) -> Path:
    path = folder / f"table.{ending}"
    if ending == "parquet":
        Dataset.from_list(rows).to_parquet(path)
    else:
        Dataset.from_list(rows).save_to_disk(folder / "saved")
        (folder / "saved" / "data-00000-of-00001.arrow").rename(path)
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    parts = {"train": Dataset.from_list(ROWS[:8]), "test": Dataset.from_list(ROWS[8:])}
    DatasetDict(parts).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_table_file_gives_the_same_examples_as_lines(tmp_path: Path, ending: str) -> None:
    found = read(table_file(tmp_path, ending))
    assert answers(found) == list(range(12))
    assert found[2].id == f"table.{ending}:3"


def test_a_saved_data_set_is_read_whole(tmp_path: Path) -> None:
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "one")
    assert answers(read(tmp_path / "one", part="validation")) == list(range(12))


def test_a_saved_data_set_of_several_splits_gives_the_part_that_is_asked_for(saved: Path) -> None:
    assert answers(read(saved)) == list(range(8))
    assert answers(read(saved, "test")) == [8, 9, 10, 11]
    assert answers(read(saved, "train[:2]+test[-1:]")) == [0, 1, 11]
    assert answers(read(saved, "train[:25%]")) == [0, 1]


def test_held_out_data_is_the_validation_part_or_else_the_test_part(saved: Path, tmp_path: Path) -> None:
    assert answers(read(saved, part="validation")) == [8, 9, 10, 11]
    parts = {name: Dataset.from_list(ROWS[:count]) for name, count in (("train", 3), ("test", 2), ("validation", 1))}
    DatasetDict(parts).save_to_disk(tmp_path / "three")
    assert answers(read(tmp_path / "three", part="validation")) == [0]


def test_training_data_is_never_taken_for_held_out_data(tmp_path: Path) -> None:
    DatasetDict({"train": Dataset.from_list(ROWS), "extra": Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match="no split validation or test; its splits are train, extra"):
        read(tmp_path / "set", part="validation")


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_slice_of_a_file_keeps_the_numbers_of_its_rows(tmp_path: Path, ending: str) -> None:
    found = read(table_file(tmp_path, ending), "train[4:6]")
    assert answers(found) == [4, 5]
    assert [str(example.place) for example in found] == [f"{tmp_path}/table.{ending}: row {row}" for row in (5, 6)]


@pytest.mark.parametrize("split", ["validatoin", "train[:2", "train[:200%]", "train[a:b]"])
def test_a_split_that_is_not_there_is_named_beside_those_that_are(saved: Path, split: str) -> None:
    with pytest.raises(DataError, match="its splits are train, test") as caught:
        read(saved, split)
    assert repr(split) in str(caught.value)


def test_an_empty_slice_is_an_error(saved: Path) -> None:
    with pytest.raises(DataError, match="holds no examples"):
        read(saved, "train[50:]")


def test_every_bad_row_is_named_with_its_split_and_number(tmp_path: Path) -> None:
    rows = [*ROWS[:2], {"prompt": "x", "completion": " "}, ROWS[3], {"prompt": "y", "completion": ""}]
    DatasetDict({"train": Dataset.from_list(rows)}).save_to_disk(tmp_path / "set")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "set")
    assert [str(problem.place) for problem in caught.value.problems] == [
        f"{tmp_path}/set (train): row 3",
        f"{tmp_path}/set (train): row 5",
    ]


def test_columns_are_mapped_and_empty_cells_left_out(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi", "name": "Ana"}, {"role": "assistant", "content": "Hello.", "name": None}]
    rows: list[dict[str, Any]] = [{"talk": turns, "text": None}, {"talk": None, "text": "A page."}]
    chat, text = read(table_file(tmp_path, "parquet", rows), messages="talk")
    assert [message["content"] for message in chat.messages] == ["Hi", "Hello."]
    assert text.text == "A page."


def test_a_key_of_a_message_that_means_something_is_still_refused(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello.", "tool_calls": "x"}]
    with pytest.raises(DataError, match=r"row 1: message 2 .*"):
        read(table_file(tmp_path, "parquet", [{"messages": turns}]))


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_damaged_or_missing_table_is_one_message(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"table.{ending}"
    with pytest.raises(DataError, match="no such file"):
        read(path)
    path.write_bytes(b"nonsense" * 20)
    with pytest.raises(DataError, match="cannot read"):
        read(path)


def test_a_name_that_no_file_can_have_is_no_table() -> None:
    assert not is_table("x" * 300)


def test_a_folder_of_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder without a data set"):
        read(tmp_path)


def test_name_and_revision_are_for_the_hub_only(saved: Path) -> None:
    with pytest.raises(DataError, match="is a local path"):
        read_source(Source(path=str(saved), revision="main"), Columns(), None, "train")


def test_two_parts_of_one_data_set_are_two_sources(saved: Path) -> None:
    first, second = {"path": str(saved), "split": "train[:4]"}, {"path": str(saved), "split": "train[4:]"}
    found = read_sources(DataSection(train=[first, second]), None)  # type: ignore[list-item]
    assert [len(source.content.examples) for source in found] == [4, 4]
    with pytest.raises(DataError, match="stands twice"):
        read_sources(DataSection(train=[first, first]), None)  # type: ignore[list-item]


def test_the_hash_follows_the_content(tmp_path: Path) -> None:
    def sha(folder: Path, rows: list[dict[str, Any]]) -> str:
        DatasetDict({"train": Dataset.from_list(rows)}).save_to_disk(folder)
        return read_source(Source(path=str(folder)), Columns(), None, "train").sha256

    assert sha(tmp_path / "a", ROWS) != sha(tmp_path / "b", ROWS[:-1])
