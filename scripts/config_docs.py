"""Write docs/config.md from the typed sections: `python scripts/config_docs.py [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from eterna.config import json_schema
from eterna.config.field_tables import ANSWERS
from eterna.config.old_names import OLD_NAMES
from eterna.config.sections import RunConfig

OUT = Path(__file__).parents[1] / "docs" / "config.md"
INTRO = """# Settings of a run file

This page is made from the code (`scripts/config_docs.py`). Any setting can be given on the command line
(`--training.seed 7`) or in the environment (`ETERNA_TRAINING__SEED=7`); command line goes before environment, before
file, before default. Paths are read from the folder you run in. `eterna config show run.yaml` prints every value in
force; `eterna config schema` prints the JSON schema for your editor.
"""


def kind_of(field: dict[str, Any]) -> str:
    """A field's type in words."""
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(kind_of(option) for option in field["anyOf"] if option.get("type") != "null"))
    if "$ref" in field:
        return "section"
    if field.get("type") == "array":
        return f"list of {kind_of(field['items'])}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return words.get(field.get("type", ""), "any")


def default_of(name: str, info: FieldInfo) -> str:
    """A setting's default as YAML would show it; `name` is the dotted one."""
    if name == "name":
        return "the file's name without its ending"
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None or value in ("", [], {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`[{', '.join(map(str, value))}]`" if isinstance(value, list) else f"`{value}`"


def inner_section(annotation: Any) -> type[BaseModel] | None:
    """The section class inside `Section | None`, `list[Section]` or `Annotated[...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := inner_section(part))), None)


def is_list(annotation: Any) -> bool:
    """Whether a field holds a list, inside `Annotated` or a union too."""
    return get_origin(annotation) is list or any(is_list(part) for part in get_args(annotation))


def sections(section: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """(dotted name, class) of every section inside `section`, in the order of the run file; a list ends in []."""
    for name, info in section.model_fields.items():
        if inner := inner_section(info.annotation):
            dotted = f"{path}{name}{'[]' * is_list(info.annotation)}"
            yield dotted, inner
            yield from sections(inner, f"{dotted}.")


def rows(section: type[BaseModel], fields: dict[str, Any], path: str = "") -> list[str]:
    """One table row per setting that Eterna has itself. fields: their JSON schemas."""
    found = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for name, info in section.model_fields.items():
        text = " ".join(str(fields[name].get("description", "")).split())
        found.append(f"| `{name}` | {kind_of(fields[name])} | {default_of(path + name, info)} | {text} |")
    return found


def passed_through(section: str, own: set[str], fields: dict[str, Any]) -> list[str]:
    """Lines on the names that a section takes beyond its own: those that go on unchanged, and those that do not."""
    old = {key: ".".join(map(str, new)) for (part, key), (new, _) in OLD_NAMES.items() if part == section}
    unneeded = set(ANSWERS) if section == "training" else set()
    unchanged = [f"`{name}`" for name in sorted(set(fields) - own - set(old) - unneeded)]
    lines = [f"Passed through unchanged: {', '.join(unchanged)}.\n"] if unchanged else []
    if old:
        lines.append(
            f"Old names that still work: {', '.join(f'`{name}` (now `{new}`)' for name, new in old.items())}.\n"
        )
    if unneeded:
        names = ", ".join(f"`{name}`" for name in sorted(unneeded))
        lines.append(f"Accepted, not needed, and answered with what happens instead: {names}.\n")
    return lines


def page() -> str:
    """The whole page."""
    schema = json_schema()
    named: dict[type[BaseModel], list[str]] = {}
    for dotted, section in sections(RunConfig):
        named.setdefault(section, []).append(dotted)
    parts = [INTRO, "## Top level\n\n" + "\n".join(rows(RunConfig, schema["properties"])) + "\n"]
    for section, names in named.items():
        definition = schema["$defs"][section.__name__]
        fields, about = definition["properties"], " ".join(definition.get("description", "").split())
        title = ", ".join(f"`{name}`" for name in names)
        parts.append(f"## {title}\n\n{about}\n\n" + "\n".join(rows(section, fields, f"{names[0]}.")) + "\n")
        parts += passed_through(names[0], set(section.model_fields), fields)
    return "\n".join(parts)


def main() -> int:
    if "--check" in sys.argv:
        return int(OUT.read_text(encoding="utf-8") != page())
    OUT.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
