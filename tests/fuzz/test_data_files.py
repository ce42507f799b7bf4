"""Whatever a data file or a file of ratings holds, it is read or refused: with the line, and never by another error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.effort import tried

from eterna.config import Columns, Source
from eterna.data.sources import read_source
from eterna.errors import Place, Problem, UserError
from eterna.evaluation import read_ratings
from eterna.files import parse_json_object, read_json_lines

MESSAGES = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Abel. ¿Quién más? 🕯"}]
ROWS: list[dict[str, Any]] = [
    {"id": "a", "messages": MESSAGES},
    {"id": 2, "prompt": "Who?", "completion": "Abel."},
    {"text": "A line of a book.", "group": "book", "weight": 1.5},
]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
rows = st.sampled_from(ROWS).flatmap(
    lambda row: st.dictionaries(st.sampled_from([*row, "role", "content"]), values, max_size=2).map(
        lambda new: {**row, **new}
    )
)
messages = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "name", "x"]),
        st.sampled_from(["user", "assistant", "system", "", " "]) | values,
        max_size=3,
    )
    | values,
    max_size=4,
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A row as JSON, sound or not, maybe with a few bytes put in the place of others."""
    row = draw(rows | messages.map(lambda found: {"messages": found}))
    text = json.dumps(row, ensure_ascii=draw(st.booleans()))
    raw = text.encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(raw)))
        raw = raw[:start] + draw(st.binary(max_size=4)) + raw[start + draw(st.integers(0, 4)) :]
    return raw


files = st.lists(lines(), max_size=3).map(b"\n".join) | st.binary(max_size=80)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@tried
@given(files)
def test_any_jsonl_is_read_or_refused_by_line(folder: Path, raw: bytes) -> None:
    path = folder / "lines.jsonl"
    path.write_bytes(raw)
    try:
        content = read_source(Source(path=str(path)), Columns(), None, "train")
    except UserError as error:
        assert error.problems
        assert all(problem.message for problem in error.problems)
    else:
        assert content.examples
        assert len({example.id for example in content.examples}) == len(content.examples)
        assert all(example.text.strip() or example.messages for example in content.examples)


@tried
@given(st.lists(rows, max_size=2))
def test_sound_json_comes_back_line_by_line(folder: Path, wanted: list[dict[str, Any]]) -> None:
    path = folder / "sound.jsonl"
    path.write_text("\n\n".join(json.dumps(row) for row in wanted), encoding="utf-8")
    for number, (line, row) in enumerate(read_json_lines(path)):
        assert line == 2 * number + 1
        assert isinstance(row, Problem) or repr(row) == repr(wanted[number])


@tried
@given(st.text(max_size=60) | lines().map(lambda raw: raw.decode("utf-8", "replace")))
def test_any_line_is_an_object_or_a_problem(line: str) -> None:
    found = parse_json_object(line, Place("line", 1))
    assert isinstance(found, dict | Problem)


cells = st.sampled_from(
    ["item", "rater", "rating", "system", "criterion", "ana", "h1", "4", "3.5", "1e9", "nan", "=1+1", '"', "base", ""]
) | st.text(max_size=6)
tables = st.lists(st.lists(cells, max_size=5).map(",".join), max_size=6).map("\n".join)


@tried
@given(
    tables.map(lambda text: text.encode("utf-8", "replace"))
    | tables.map(lambda text: b"item,rater,rating\n" + text.encode("utf-8", "replace"))
    | st.binary(max_size=60)
)
def test_any_ratings_are_read_or_refused(folder: Path, raw: bytes) -> None:
    path = folder / "ratings.csv"
    path.write_bytes(raw)
    try:
        ratings = read_ratings(path)
    except UserError as error:
        assert error.problems
    else:
        assert ratings
        assert all(abs(rating.rating) <= 100 and rating.item and rating.rater for rating in ratings)
