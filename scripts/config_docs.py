"""Write docs/config.md from the typed sections: `python scripts/config_docs.py [--check]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from eterna.config import json_schema

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


def default_of(field: dict[str, Any]) -> str:
    """A field's default as YAML would show it."""
    if "default" not in field or field["default"] is None or field["default"] == "":
        return ""
    value = field["default"]
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if not isinstance(value, dict) else ""


def is_passed_through(field: dict[str, Any]) -> bool:
    """Whether a field goes to transformers or PEFT unchanged."""
    return str(field.get("description", "")).startswith("passed through")


def rows(definition: dict[str, Any]) -> list[str]:
    """One table row per described field."""
    found = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for name, field in definition["properties"].items():
        text = " ".join(str(field.get("description", "")).split())
        if not is_passed_through(field):
            found.append(f"| `{name}` | {kind_of(field)} | {default_of(field)} | {text} |")
    return found


def page() -> str:
    """The whole page."""
    schema = json_schema()
    parts = [INTRO, "## Top level\n\n" + "\n".join(rows(schema)) + "\n"]
    for name, definition in sorted(schema["$defs"].items()):
        title = name.removesuffix("Section")
        about = " ".join(definition.get("description", "").split())
        parts.append(f"## {title[0].lower() + title[1:]}\n\n{about}\n\n" + "\n".join(rows(definition)) + "\n")
        passed = [f"`{key}`" for key, field in definition["properties"].items() if is_passed_through(field)]
        if passed:
            parts.append(f"Passed through unchanged: {', '.join(passed)}.\n")
    return "\n".join(parts)


def main() -> int:
    if "--check" in sys.argv:
        return int(OUT.read_text(encoding="utf-8") != page())
    OUT.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
