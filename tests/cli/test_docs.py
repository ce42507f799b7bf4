"""docs/cli.md is made from the commands and is up to date."""

from __future__ import annotations

import shlex

import typer
from scripts.cli_docs import OUT, commands, page

from eterna.cli.main import app


def test_the_commands_page_is_made_from_the_code() -> None:
    assert OUT.read_text(encoding="utf-8") == page(), "run: python scripts/cli_docs.py"


def test_every_command_has_help_and_an_example_of_itself() -> None:
    for name, command in commands(typer.main.get_command(app)):
        assert command.help, name
        assert str(command.epilog).startswith(f"Example: {name}"), name
        assert all(parameter.help for parameter in command.params), name


def test_every_example_names_options_that_exist() -> None:
    for name, command in commands(typer.main.get_command(app)):
        known = {option for parameter in command.params for option in parameter.opts}
        used = [word for word in shlex.split(str(command.epilog)) if word.startswith("--") and "." not in word]
        assert set(used) <= known, name
