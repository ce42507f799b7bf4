"""From file, environment and command line to one typed, resolved config.

Precedence: command line > environment > file > defaults. Every mistake is reported at once, each with its place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from eterna.config.checks import impossible_combinations
from eterna.config.field_tables import FIELD_TABLES, answers_to, kind_problem
from eterna.config.old_names import OLD_NAMES, move_old_names
from eterna.config.reading import KeyPath, Marked, parse_value, read_yaml
from eterna.config.sections import RunConfig
from eterna.errors import ConfigError, Place, Problem
from eterna.files import BYTE_ORDER_MARK, byte_order_note
from eterna.text import name_hint, nearest, shown

ENVIRONMENT_PREFIX = "ETERNA_"
PRIVATE = "hub_token"
PLACE = re.compile(r"[0-9]{1,6}")
EXPECTED = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text (put it in quotes)",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_type": "a section with keys",
    "model_attributes_type": "a section with keys",
    "dict_type": "a section with keys",
}

# What pydantic puts behind the key where a field has several types.
TAGS = re.compile(r"list\[.*|function-.*|literal\[.*|int|float|str")


@dataclass(frozen=True)
class LoadedConfig:
    """A checked config, its origin and what was said about old names."""

    config: RunConfig
    path: Path | None
    """The run file; None when the values came from Python."""
    text: str
    """The file as written, but for a token."""
    notes: tuple[str, ...] = ()
    """One line per old name understood, and per setting that is not needed."""
    marked: Marked = field(default_factory=lambda: Marked({}))
    """Where each setting was written, and by which name."""

    def resolved(self) -> dict[str, Any]:
        """Every value in force, as plain values; a token is left out."""
        return self.config.model_dump(mode="json", exclude_none=True, exclude={"training": {PRIVATE}})


def load_config(
    path: Path, overrides: Sequence[tuple[str, str]] = (), environment: Mapping[str, str] = os.environ
) -> LoadedConfig:
    """Read and check a run file.

    overrides: (dotted name, value as typed) from the command line. Raises ConfigError listing every problem.
    """
    marked = read_yaml(path)
    if marked.values is None:
        raise ConfigError(f"{path} is empty", fix="`eterna init my-world` gives one to start from")
    if not isinstance(marked.values, dict):
        raise ConfigError(
            f"{path} must hold keys such as model, data and training", Place(str(path), 1), "write `model:` and so on"
        )
    for name, text in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            dotted = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            _override(marked, dotted, text, f"environment variable {name}")
    for dotted, text in overrides:
        _override(marked, dotted, text, f"command line, --{dotted}")
    marked.values.setdefault("name", _name_from(path))
    raw = path.read_bytes()
    notes = [byte_order_note(str(path))] if raw.startswith(BYTE_ORDER_MARK) else []
    return _loaded(marked, path, raw.removeprefix(BYTE_ORDER_MARK).decode("utf-8"), notes)


def config_from_values(values: dict[str, Any]) -> LoadedConfig:
    """Check values given from Python, by the same rules as a file."""
    from eterna.config.writing import to_yaml

    return _loaded(Marked(_copy(values), {(): Place("values")}), None, to_yaml(values))


def _loaded(marked: Marked, path: Path | None, text: str, notes: Sequence[str] = ()) -> LoadedConfig:
    notes = [*notes, *move_old_names(marked)]
    notes += answers_to(marked.values.get("training"))
    config = _checked(marked)
    token = (config.training.model_extra or {}).get(PRIVATE)
    return LoadedConfig(config, path, text.replace(token, "(left out)") if token else text, tuple(notes), marked)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _name_from(path: Path) -> str:
    kept = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "-" for sign in path.stem)
    return kept.strip("._-")[:64] or "run"


def _override(marked: Marked, dotted: str, text: str, origin: str) -> None:
    path: KeyPath = tuple(int(part) if PLACE.fullmatch(part) else part for part in dotted.split("."))
    value = parse_value(text, origin) if text.strip() else None
    target = marked.values
    for depth, part in enumerate(path[:-1]):
        if isinstance(target, list) and isinstance(part, int) and part < len(target):
            target = target[part]
        elif isinstance(target, dict):
            if target.get(str(part)) is None:
                target[str(part)] = {}
            target = target[str(part)]
        else:
            raise ConfigError(
                f"{'.'.join(map(str, path[: depth + 1]))} cannot be set", Place(origin), "check the dotted name"
            )
    last = path[-1]
    if isinstance(target, list) and isinstance(last, int) and last < len(target):
        target[last] = value
    elif isinstance(target, dict):
        target[str(last)] = value
    else:
        raise ConfigError(f"{dotted} cannot be set", Place(origin), "check the dotted name")
    for known in [known for known in marked.places if known[: len(path)] == path]:
        del marked.places[known]
    marked.places[path] = Place(origin)


def _checked(marked: Marked) -> RunConfig:
    problems = list(_take_unknown_keys(RunConfig, marked.values, (), marked))
    problems += _pass_through_problems(marked)
    try:
        config = RunConfig.model_validate(marked.values)
    except ValidationError as error:
        problems += _once([_from_pydantic(detail, marked) for detail in error.errors()])
        raise ConfigError(_in_file_order(problems)) from None
    problems += impossible_combinations(config, marked)
    if problems:
        raise ConfigError(_in_file_order(problems))
    return config


def _in_file_order(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.place.line or 0) if problem.place else 0)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section class inside `Section | None`, `list[Section]` or `Annotated[...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section_of(inner))), None)


def _take_unknown_keys(section: type[BaseModel], values: Any, path: KeyPath, marked: Marked) -> list[Problem]:
    """Remove keys that no section knows and report them, so that the rest can be checked in the same pass."""
    if isinstance(values, list):
        return [
            problem
            for index, item in enumerate(values)
            for problem in _take_unknown_keys(section, item, (*path, index), marked)
        ]
    if not isinstance(values, dict):
        return []
    problems = []
    table = FIELD_TABLES.get(str(path[0])) if len(path) == 1 else None
    known = set(section.model_fields) | set(table or {})
    for key in list(values):
        if key in known:
            inner = _section_of(section.model_fields[key].annotation) if key in section.model_fields else None
            if inner:
                problems += _take_unknown_keys(inner, values[key], (*path, key), marked)
            continue
        del values[key]
        dotted = ".".join(map(str, (*path, key)))
        place = marked.place_of((*path, key))
        problems.append(Problem(f"unknown key {dotted}", place, _key_hint(str(key), path, known)))
    return problems


def _key_hint(key: str, path: KeyPath, known: set[str]) -> str:
    here = nearest(key, known | {old[1] for old in OLD_NAMES if old[:1] == path})
    if here:
        return f"did you mean {'.'.join(map(str, (*path, here)))!r}?"
    for name, info in RunConfig.model_fields.items():
        section = _section_of(info.annotation)
        if section and (match := nearest(key, set(section.model_fields) | set(FIELD_TABLES.get(name, {})))):
            return f"did you mean {name}.{match!r}? It belongs under `{name}:`"
    return name_hint(key, known)


def _pass_through_problems(marked: Marked) -> list[Problem]:
    problems = []
    for section, table in FIELD_TABLES.items():
        values = marked.values.get(section)
        typed = _section_of(RunConfig.model_fields[section].annotation)
        assert typed is not None
        for key, value in values.items() if isinstance(values, dict) else ():
            if key not in typed.model_fields and (expected := kind_problem(table[key], value)):
                place = marked.place_of((section, key))
                problems.append(Problem(f"{section}.{key} is {shown(value)}", place, f"expected {expected}"))
    return problems


def _from_pydantic(detail: Any, marked: Marked) -> Problem:
    path, value = tuple(detail["loc"]), detail["input"]
    while path and isinstance(path[-1], str) and TAGS.fullmatch(path[-1]):
        path = path[:-1]
    if path[:2] == ("lora", "target_modules"):
        path, value = path[:2], marked.values["lora"]["target_modules"]
    dotted = ".".join(map(str, path)) or "the file"
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return Problem(f"{dotted} is missing", marked.place_of(path), f"add `{path[-1]}:`")
    if kind == "literal_error":
        allowed = context["expected"].replace("'", "")
        near = nearest(str(value), allowed.replace(" or ", ", ").split(", "))
        fix = f"did you mean {near!r}? It is one of: {allowed}" if near else f"one of: {allowed}"
        return Problem(f"{dotted} is {shown(value)}", marked.place_of(path), fix)
    if kind in EXPECTED:
        expected = f"expected {EXPECTED[kind]}"
    else:
        expected = detail["msg"].replace("Input should", "it should").replace("String should", "it should")
    return Problem(f"{dotted} is {shown(value)}", marked.place_of(path), expected)


def _once(problems: list[Problem]) -> list[Problem]:
    """One problem for each value: pydantic reports every type of `int | float` that a value is not."""
    fixes: dict[tuple[str, Place | None], list[str]] = {}
    for problem in problems:
        fixes.setdefault((problem.message, problem.place), []).append(problem.fix or "")
    return [Problem(message, place, _either(found)) for (message, place), found in fixes.items()]


def _either(fixes: list[str]) -> str:
    first, *others = (fix for fix in dict.fromkeys(fixes) if fix != "expected a whole number" or len(fixes) == 1)
    return " or ".join([first, *(fix.removeprefix("expected ") for fix in others)])
