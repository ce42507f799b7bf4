"""`eterna demo`: the shipped recipe on the shipped world and base model, in a fresh run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eterna.config import load_config
from eterna.pipeline.train import Trained, train

if TYPE_CHECKING:
    from rich.console import Console

RECIPE = Path(__file__).parents[1] / "recipes" / "demo.yaml"


def demo(console: Console, overrides: Sequence[tuple[str, str]] = ()) -> Trained | None:
    """Train and evaluate the demo in runs/demo, or the next free runs/demo-N."""
    folder, number = Path("runs/demo"), 1
    while folder.exists():
        number += 1
        folder = Path(f"runs/demo-{number}")
    return train(load_config(RECIPE, [("training.output_dir", str(folder)), *overrides]), console)
