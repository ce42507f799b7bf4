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
BESIDE_THE_TRAINING = {"name", "evaluation", "tracking"}
SAME_TRAINING = {"output_dir", "seed", "logging_steps", "report_to", "save_strategy", "save_steps", "save_total_limit"}


def demo(console: Console, overrides: Sequence[tuple[str, str]] = ()) -> Trained | None:
    """Train and evaluate the demo in runs/demo, or the next free runs/demo-N.

    The recorded control was trained and asked as the recipe says; overrides that change either leave it out.
    """
    folder, number = Path("runs/demo"), 1
    while folder.exists():
        number += 1
        folder = Path(f"runs/demo-{number}")
    settings = [("training.output_dir", str(folder)), *overrides]
    if changed := [key for key, _ in overrides if _another_demo(key)]:
        settings.insert(0, ("evaluation.control", "null"))
        said = f"the control was recorded with the demo's own settings; with {', '.join(changed)} it is left out"
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    return train(load_config(RECIPE, settings), console)


def _another_demo(key: str) -> bool:
    section, _, name = key.partition(".")
    return section not in BESIDE_THE_TRAINING and not (section == "training" and name in SAME_TRAINING)
