"""Write docs/cli.md from the commands themselves: `python scripts/cli_docs.py [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from eterna.cli.main import app
from eterna.errors import EternaError

OUT = Path(__file__).parents[1] / "docs" / "cli.md"
INTRO = """# Commands

This page is made from the commands themselves (`scripts/cli_docs.py`). `eterna COMMAND --help` prints the same.
Results go to stdout and mistakes to stderr; with `--json`, everything that is not the result goes to stderr.

Where a command takes OVERRIDES, any setting of the run file can be given: `--training.seed 7`, `--training.seed=7` or
`training.seed=7` ([all settings](config.md)).

`eterna --install-completion` teaches your shell the commands; Tab then also offers run folders and the ids of NPCs,
places and books.
"""
RESUME = "; training saves a checkpoint first, and `eterna train RUN.yaml --resume` goes on from it"
CODES = {
    0: "done",
    1: "a failure that is no mistake of yours; `eterna doctor`: something is bad",
    2: "a mistake in a command, run file, world, data or model; nothing was written",
    130: "stopped by Ctrl-C (SIGINT)" + RESUME,
    143: "stopped by SIGTERM" + RESUME,
}


def commands(group: Any, name: str = "eterna") -> Iterator[tuple[str, Any]]:
    """(full name, command) of everything that can be run, groups left out, in the order of the help."""
    for key, command in group.commands.items():
        full = f"{name} {key}"
        if hasattr(command, "commands"):
            yield from commands(command, full)
        else:
            yield full, command


def usage(name: str, command: Any) -> str:
    """`eterna train FILE [OPTIONS] [OVERRIDES]`."""
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    words = [name, *(label(one) if one.required else f"[{label(one)}]" for one in arguments)]
    words += ["[OPTIONS]"] if any(parameter.param_type_name == "option" for parameter in command.params) else []
    words += ["[OVERRIDES]"] if command.context_settings.get("allow_extra_args") else []
    return " ".join(words)


def label(parameter: Any) -> str:
    """What stands for a value on the command line."""
    return str(parameter.metavar or parameter.name.upper())


def row(parameter: Any, hint: Any) -> str:
    """One table row: names, default, meaning; `hint` is the type that the command's function declares."""
    written = label(parameter)
    if parameter.param_type_name == "option":
        written = ", ".join(parameter.opts) + ("" if parameter.is_flag else f" {value_of(parameter, hint)}")
    default = "" if parameter.required or parameter.default in (None, False) else f"`{parameter.default}`"
    return f"| `{written}` | {default} | {' '.join((parameter.help or '').split())} |"


def value_of(option: Any, hint: Any) -> str:
    """What an option takes: its choices, its own word, or its type."""
    kind = next((one for one in (get_args(hint) or (hint,)) if one is not type(None)), str)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "/".join(str(one.value) for one in kind)
    own = str(option.metavar or "").replace("|", "/")
    return own or {int: "NUMBER", float: "NUMBER", Path: "PATH"}.get(kind, "TEXT")


def exit_codes() -> str:
    """Every code a command can end with: those of the error classes, and those of signals."""
    meanings = dict(CODES)
    for kind in _subclasses(EternaError):
        meanings.setdefault(kind.exit_code, (kind.__doc__ or "").strip().split("\n")[0])
    rows = [f"| {code} | {text} |" for code, text in sorted(meanings.items())]
    return "\n".join(["## Exit codes", "", "| code | meaning |", "|---|---|", *rows]) + "\n"


def _subclasses(kind: type[EternaError]) -> Iterator[type[EternaError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


def page() -> str:
    """The whole page."""
    parts, root = [INTRO], typer.main.get_command(app)
    for name, command in [("eterna", root), *commands(root)]:
        text = " ".join((command.help or "").split())
        hints = get_type_hints(command.callback)
        parameters = [row(one, hints.get(one.name)) for one in command.params if one.name != "help"]
        table = ["| argument or option | default | meaning |", "|---|---|---|", *parameters]
        example = str(command.epilog or "").removeprefix("Example: ")
        blocks = [f"## {name}", f"{text}", f"```\n{usage(name, command)}\n```", "\n".join(table) if parameters else ""]
        blocks += [f"```bash\n{example}\n```" if example else ""]
        parts.append("\n\n".join(block for block in blocks if block) + "\n")
    return "\n".join([*parts, exit_codes()])


def main() -> int:
    if "--check" in sys.argv:
        return int(OUT.read_text(encoding="utf-8") != page())
    OUT.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
