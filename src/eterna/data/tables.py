"""Rows of Hugging Face data sets: .parquet and .arrow files, folders of `save_to_disk`, and the Hub.

Every row is named by its split and its number in the whole split, so that a slice keeps the names of its rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eterna.config import Source
from eterna.errors import DataError, Place
from eterna.files import sha256_of, usable_path
from eterna.hub import LOCAL, find_commit, is_hub_id
from eterna.text import shown
from eterna.world.schema import Split

TABLE_FILES = (".parquet", ".arrow")
WITHOUT_SPLIT: dict[Split, tuple[str, ...]] = {"train": ("train",), "validation": ("validation", "test")}
WAYS_OUT = {
    "BuilderConfig": "set name: to one of them",
    "Config name is missing": "set name: to one of them",
    "scripts are no longer supported": "where you trust it, save it with save_to_disk, and name that folder",
}


@dataclass(frozen=True)
class Table:
    """The rows that a source asks for."""

    pieces: list[tuple[str, int, Any]]
    """What the rows are called, the number of rows before the first, and the datasets.Dataset."""
    sha256: str
    """Of the file or folder; of commit and fingerprint for a Hub data set."""
    commit: str | None = None
    """Of a Hub data set."""

    def rows(self, label: str = "") -> Iterator[tuple[Place, str, dict[str, Any]]]:
        """Each row with its place and its own name; empty cells are left out.

        label: what rows are called after, where the last part of the path does not tell it from another.
        """
        for name, before, dataset in self.pieces:
            own = f"{Path(label).parent}/{Path(name).name}" if "/" in label else Path(name).name
            number = before
            try:
                for number, row in enumerate(dataset, start=before + 1):
                    yield Place(f"{name}: row {number}"), f"{own}:{number}", _without_nulls(row)
            except UnicodeDecodeError as error:
                message, place = f"bytes that are not UTF-8: {shown(error.object)}", Place(f"{name}: row {number + 1}")
                raise DataError(message, place, "write the column as UTF-8 text") from error


def is_table(path: str) -> bool:
    """Whether a source's path is read here: a table file, a folder, or a Hub id where no such path exists."""
    found = usable_path(path)
    if found is None:
        return False
    return found.suffix in TABLE_FILES or found.is_dir() or (not found.exists() and is_hub_id(path))


def open_table(source: Source, split: Split) -> Table:
    """The rows of one source; `split` decides where the source names none. Raises DataError."""
    assert source.path is not None
    path = Path(source.path)
    if not path.exists() and is_hub_id(source.path):
        parts, commit = _from_hub(source.path, source.name, source.revision)
        pieces = _choose(source.path, parts, source.split or _default_split(source.path, parts, split))
        known = "\n".join([commit, *(dataset._fingerprint for dataset in parts.values())])
        return Table(pieces, hashlib.sha256(known.encode()).hexdigest(), commit)
    if source.name or source.revision:
        raise DataError(f"{path} is a local path", fix="name and revision belong to Hub data sets; remove them")
    if not path.exists():
        raise DataError(f"no such file: {path}", fix="check the path; it is read from the folder you run in")
    with _readable(str(path)):
        opened = _from_folder(path) if path.is_dir() else _from_file(path)
    if isinstance(opened, dict):
        pieces = _choose(str(path), opened, source.split or _default_split(str(path), opened, split))
    elif source.split:
        chosen = _choose(str(path), {str(opened.split or "train"): opened}, source.split)
        pieces = [(str(path), before, rows) for _, before, rows in chosen]
    else:
        pieces = [(str(path), 0, opened)]
    return Table(pieces, sha256_of(path))


def _from_file(path: Path) -> Any:
    import datasets
    import pyarrow.parquet

    if path.suffix == ".arrow":
        return datasets.Dataset.from_file(str(path))
    return datasets.Dataset(pyarrow.parquet.read_table(path))


def _from_folder(path: Path) -> Any:
    import datasets

    if not any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        fix = "name one file, or a folder that datasets' save_to_disk wrote"
        raise DataError(f"{path} is a folder without a data set", fix=fix)
    return datasets.load_from_disk(path)


def _from_hub(path: str, name: str | None, revision: str | None) -> tuple[dict[str, Any], str]:
    """Every split of a Hub data set, and its commit."""
    import datasets

    found = find_commit("dataset", path, revision)
    before = datasets.config.HF_HUB_OFFLINE
    # Left to itself, the library would ask the Hub again and wait long for an answer that will not come.
    datasets.config.HF_HUB_OFFLINE = before or not found.online
    try:
        with _readable(path):
            builder = datasets.load_dataset_builder(path, name, revision=revision)
            builder.download_and_prepare()
            parts = dict(builder.as_dataset())
    finally:
        datasets.config.HF_HUB_OFFLINE = before
    # When loading fails, the library falls back to whatever it cached last: of any revision, of any configuration.
    if name is None and not found.online and builder.config.name != "default":
        fix = f"set name: {builder.config.name}, or another, so that it is sure which one is meant"
        raise DataError(f"{path} is read from the local cache, which may hold one configuration of several", fix=fix)
    if builder.hash != found.commit:
        raise DataError(
            f"{path} could be had only at commit {str(builder.hash)[:12]}, not at {found.commit[:12]}",
            fix=f"try again with a network; {LOCAL}",
        )
    return parts, found.commit


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what datasets and pyarrow raise into one short message."""
    import pyarrow
    from datasets.exceptions import DatasetGenerationError, DatasetsError
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, RuntimeError, DatasetsError, HTTPError, pyarrow.ArrowException) as error:
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        known = next((fix for sign, fix in WAYS_OUT.items() if sign in lines[0]), None)
        message = f"cannot read {name}: {' '.join(lines[:2])[:300]}"
        raise DataError(message, fix=known or f"check that it is whole and of that kind; {LOCAL}") from error


def _default_split(name: str, parts: dict[str, Any], split: Split) -> str:
    wanted = WITHOUT_SPLIT[split]
    for candidate in wanted:
        if candidate in parts:
            return candidate
    raise DataError(
        f"{name} has no split {' or '.join(wanted)}; its splits are {', '.join(parts)}",
        fix=f"set split:, such as {next(iter(parts))} or {next(iter(parts))}[:200]",
    )


def _choose(name: str, parts: dict[str, Any], spec: str) -> list[tuple[str, int, Any]]:
    """The rows that a split specification such as `train[:200]+test` names, as `datasets` reads it."""
    from datasets import ReadInstruction

    try:
        chosen = ReadInstruction.from_spec(spec).to_absolute({part: len(rows) for part, rows in parts.items()})
    except ValueError as error:
        raise DataError(
            f"{name} has no split {shown(spec)}; its splits are {', '.join(parts)}",
            fix="a slice is written as in train[:200], train[10%:]",
        ) from error
    return [
        (f"{name} ({one.splitname})", one.from_, parts[one.splitname].select(range(one.from_, one.to)))
        for one in chosen
        if one.from_ < one.to
    ]


def _without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    """A table gives every row every column, and every message every key: the empty ones say nothing."""
    return {
        key: [_filled(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else value
        for key, value in _filled(row).items()
    }


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
