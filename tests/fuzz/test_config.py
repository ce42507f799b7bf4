"""Whatever a run file holds, reading it ends in a RunConfig or in a UserError: never in anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.effort import tried

from eterna.config import RunConfig, config_from_values, load_config
from eterna.config.field_tables import FIELD_TABLES
from eterna.config.old_names import OLD_NAMES
from eterna.config.sections import DataSection, EvaluationSection, LoraSection, ModelSection, Source, TrainingSection
from eterna.config.writing import to_yaml
from eterna.errors import UserError

GOOD: dict[str, Any] = {
    "name": "poe",
    "world": "eterna:biblioteca",
    "model": {"name": "some/model"},
    "lora": {"r": 8, "target_modules": ["q_proj"]},
    "data": {"train": [{"path": "a.jsonl", "weight": 2}], "eval": [{"world": "examples"}], "max_length": 512},
    "training": {"learning_rate": 1e-5, "save_steps": 100, "report_to": ["none"], "load_best_model_at_end": False},
    "evaluation": {"best": {"perplexity": -1}, "metrics": ["perplexity"]},
    "generation": {"temperature": 0.5},
    "tracking": {"mlflow": {"alias": "best"}},
}
SECTIONS = (RunConfig, ModelSection, LoraSection, DataSection, Source, TrainingSection, EvaluationSection)
NAMES = sorted(
    {name for section in SECTIONS for name in section.model_fields}
    | {name for table in FIELD_TABLES.values() for name in table}
    | {str(part) for old in OLD_NAMES for part in old}
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["no", "auto", "1e-5", "all", "none", "steps", "../../x", "a\0b", "\ud800", "x" * 300, "((", "nf4"]
    )
)
keys = st.sampled_from(NAMES) | st.text(max_size=8)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))


def paths_in(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a tree but its root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in ((*path, key), *paths_in(item, (*path, key)))]


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """A copy with another value at `path`."""
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@st.composite
def spoilt_configs(draw: st.DrawFn) -> dict[str, Any]:
    """A sound run file with one to four values replaced or added."""
    values = GOOD
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(paths_in(values)))
        if draw(st.booleans()):
            values = replaced(values, path, draw(trees))
        else:
            section = draw(st.sampled_from([key for key in values if isinstance(values[key], dict)] or ["x"]))
            values = {**values, section: {**values.get(section, {}), draw(keys): draw(trees)}}
    return values


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "run.yaml"


def loads_or_refuses(read: Any) -> None:
    try:
        loaded = read()
    except UserError as error:
        assert error.problems
        assert str(error)
    else:
        assert isinstance(loaded.config, RunConfig)
        again = config_from_values(loaded.resolved()).config
        assert again.model_dump(exclude_none=True) == loaded.config.model_dump(exclude_none=True)


@tried
@given(spoilt_configs() | st.dictionaries(keys, trees, max_size=3))
def test_spoilt_values_load_or_are_refused(values: dict[str, Any]) -> None:
    loads_or_refuses(lambda: config_from_values(values))


TEXT = to_yaml({name: GOOD[name] for name in ("name", "model", "data", "training")})
pieces = st.text(max_size=6) | st.sampled_from(
    ["\t", "  ", "\n", ": ", "- ", "[", "]", "{", "}", "&a ", "*a ", "!!x ", "'", '"', "#", "|\n", ">", "%", "@", "? ", "<<: ",
     "---\n", "...\n", "\r", "\0", "\x85", "\u2028", "\ufeff", "1_0", "0x1F", "2001-01-01", "1:30", ".inf", "~", "\\ud800"]
)  # fmt: skip


@st.composite
def spoilt_texts(draw: st.DrawFn) -> bytes:
    """The text of a sound run file with pieces put in or cut out, as bytes that may be no UTF-8."""
    text = TEXT
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(pieces) + text[start + draw(st.integers(0, 12)) :]
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le"]))
    return text.encode(encoding, "replace")


@tried
@given(spoilt_texts() | st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_file_loads_or_is_refused(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    loads_or_refuses(lambda: load_config(file, environment={}))


@tried
@given(
    st.lists(
        st.tuples(
            st.sampled_from([".".join(map(str, p)) for p in paths_in(GOOD)]) | st.text(max_size=12),
            st.text(max_size=12),
        ),
        max_size=3,
    )
)
def test_any_overrides_load_or_are_refused(file: Path, overrides: list[tuple[str, str]]) -> None:
    file.write_text(TEXT, encoding="utf-8")
    loads_or_refuses(lambda: load_config(file, overrides, environment={}))
