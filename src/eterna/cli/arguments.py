"""Arguments that several commands share, and what the shell offers for them on Tab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from eterna.errors import EternaError

WITH_OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}


def complete_runs(incomplete: str) -> list[str]:
    """Run folders below runs/, and below the folder typed so far."""
    found = []
    for head in dict.fromkeys(["runs/", incomplete[: incomplete.rfind("/") + 1]]):
        found += [f"{head}{item.parent.name}" for item in sorted(Path(head or ".").glob("*/resolved.yaml"))]
    return [name for name in found if name.startswith(incomplete)]


def complete_ids(part: str) -> Callable[[typer.Context, str], list[tuple[str, str]]]:
    """Completes ids of the `npcs`, `places` or `books` of the world that the run on the line was trained for."""

    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        from eterna.runs import RunFolder
        from eterna.world import find_world, load_world

        # While an option still waits for its value, the parser leaves the arguments before it unassigned.
        run = ctx.params.get("run") or next(iter(ctx.args), "")
        try:
            config = RunFolder.open(Path(run)).config()
            known = getattr(load_world(find_world(config.world)), part) if config.world else {}
        except EternaError:  # a half-typed line: there is nothing to offer, and nowhere to say why
            return []
        named = {name: getattr(item, "name", "") or getattr(item, "title", "") for name, item in known.items()}
        return [(name, shown) for name, shown in named.items() if name.startswith(incomplete)]

    return complete


RunFile = Annotated[Path, typer.Argument(help="The run file (YAML).", show_default=False)]
Run = Annotated[
    Path,
    typer.Argument(help="A run's folder, such as runs/demo.", show_default=False, autocompletion=complete_runs),
]
AsJson = Annotated[bool, typer.Option("--json", help="Results as JSON on stdout; everything else goes to stderr.")]
