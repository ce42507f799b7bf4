"""YAML to plain values with the place of every key: no tags, no aliases, no duplicate keys.

YAML 1.2 rules through ruamel.yaml: `no` and `on` are words, `1e-5` is a number.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from eterna.errors import ConfigError, Place
from eterna.files import LONE_SURROGATE, MAX_DIGITS, read_text
from eterna.text import first_line, shown

KeyPath = tuple[str | int, ...]
MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_VALUES = 20_000
PLAIN_TAGS = ("null", "bool", "int", "float", "str", "map", "seq")


@dataclass
class Marked:
    """Plain values and, for each key path in them, where it was written."""

    values: Any
    places: dict[KeyPath, Place] = field(default_factory=dict)
    renamed: dict[KeyPath, KeyPath] = field(default_factory=dict)
    """Keys that were written by an older name, and that name."""

    def place_of(self, path: KeyPath) -> Place | None:
        """Where the value at `path` was written, or its nearest written parent."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return None

    def written(self, *path: str) -> tuple[str, Place | None]:
        """What a setting is called where it was written (maybe by an older name), and where that is."""
        return ".".join(map(str, self.renamed.get(path, path))), self.place_of(path)


def read_yaml(path: Path) -> Marked:
    """Read a YAML file. Raises ConfigError with file, line and column."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder, not a YAML file", fix=f"did you mean {path / 'run.yaml'}?")
    return parse_yaml(read_text(path), str(path))


def parse_yaml(text: str, name: str) -> Marked:
    """Parse YAML text; `name` stands for the file in messages."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ConfigError(f"{name} is larger than 1 MB", fix="keep data in its own files")
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _bounded_composer()
    try:
        node = yaml.compose(io.StringIO(text))
    except _TooMuchError as error:
        mark = error.args[0]
        place = Place(name, mark.line + 1, mark.column + 1)
        message, fix = f"the file holds more than {MAX_VALUES:,} values", "keep data in its own files"
        raise ConfigError(message, place, fix) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name)
        message = f"not valid YAML: {error.problem or error.context}: {shown(_line_of(text, mark))}"
        raise ConfigError(message, place, _syntax_fix(text, mark)) from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"not valid YAML: {first_line(error)}", Place(name), "remove what is no plain text") from None
    except RecursionError:
        raise ConfigError("the YAML is nested too deeply", Place(name), f"keep it below {MAX_DEPTH} levels") from None
    marked = Marked(None, {(): Place(name, 1, 1)})
    if node is not None:
        marked.values = _Walk(name, marked.places).value(node, ())
    return marked


class _TooMuchError(Exception):
    """More values than a YAML file may hold; where the first of them stands."""


@cache
def _bounded_composer() -> type:
    from ruamel.yaml.composer import Composer

    class Bounded(Composer):  # type: ignore[misc]
        """Stops at a number of values: reading takes seconds for each ten thousand."""

        count = 0

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            # Legal YAML; aliases are refused anyhow.
            self.warn_double_anchors = False

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.count += 1
            if self.count > MAX_VALUES:
                raise _TooMuchError(self.parser.peek_event().start_mark)
            return super().compose_node(parent, index)

    return Bounded


def parse_value(text: str, name: str) -> Any:
    """One value as it is typed on the command line or in an environment variable."""
    return parse_yaml(text, name).values


def _line_of(text: str, mark: Any) -> str:
    """The line at a mark; the last written one where the mark stands at the end of the file."""
    lines = text.rstrip("\n").split("\n")
    return lines[min(mark.line, len(lines) - 1)] if mark else ""


def _syntax_fix(text: str, mark: Any) -> str:
    line = _line_of(text, mark)
    if (
        "\t" in line[: len(line) - len(line.lstrip())]
        or "\t" in text[: getattr(mark, "index", 0) + 1].rsplit("\n", 1)[-1]
    ):
        return "indent with spaces, not tabs"
    return "check indentation, quotes and colons on this line and the one before"


class _Walk:
    """Turns a node tree into values, recording places."""

    def __init__(self, name: str, places: dict[KeyPath, Place]) -> None:
        from ruamel.yaml import YAML

        self.name = name
        self.places = places
        self.constructor = YAML(typ="safe", pure=True).constructor
        self.seen: set[int] = set()

    def place(self, node: Any) -> Place:
        return Place(self.name, node.start_mark.line + 1, node.start_mark.column + 1)

    def value(self, node: Any, path: KeyPath) -> Any:
        place = self.place(node)
        self.places.setdefault(path, place)
        if id(node) in self.seen:
            raise ConfigError("aliases (&name, *name) are not read", place, "write the value out at both places")
        self.seen.add(id(node))
        if len(path) > MAX_DEPTH:
            raise ConfigError(f"nested deeper than {MAX_DEPTH} levels", place, "no setting lies that deep")
        tag = str(node.tag).rsplit(":", 1)[-1]
        if tag == "timestamp":
            raise ConfigError(f"{shown(node.value)} is a date, and no setting is one", place, "put it in quotes")
        if tag not in PLAIN_TAGS or not str(node.tag).startswith("tag:yaml.org,2002:"):
            raise ConfigError(
                f"the tag {shown(str(node.tag))} is not read", place, "write plain text, numbers, lists and maps"
            )
        if node.id == "mapping":
            return self.mapping(node, path)
        if node.id == "sequence":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.scalar(node, tag, place)

    def scalar(self, node: Any, tag: str, place: Place) -> Any:
        self.check_text(node.value, place)
        if tag == "int" and len(node.value) > MAX_DIGITS:
            message = f"{shown(node.value)} is a number of {len(node.value):,} digits"
            raise ConfigError(message, place, "put it in quotes if it is a name")
        try:
            return self.constructor.construct_object(node)
        except (ValueError, OverflowError) as error:
            raise ConfigError(
                f"{shown(node.value)} is not a usable value: {error}", place, "put it in quotes"
            ) from None

    def check_text(self, text: str, place: Place) -> None:
        if "\0" in text or LONE_SURROGATE.search(text):
            message = f"{shown(text)} holds a NUL character or half of one written as two"
            raise ConfigError(message, place, "write it as plain text")

    def mapping(self, node: Any, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                raise ConfigError("a key must be a word", self.place(key_node), "write `key: value`")
            self.check_text(key, self.place(key_node))
            if key in values:
                first = self.places[*path, key]
                raise ConfigError(
                    f"the key {shown(key)} stands twice (first in line {first.line})",
                    self.place(key_node),
                    "remove one of them",
                )
            self.places[*path, key] = self.place(key_node)
            values[key] = self.value(value_node, (*path, key))
        return values
