"""Fine-tune a language model to speak for a fictional world, and prove that it does.

import eterna

config = eterna.load_config("run.yaml")
trained = eterna.train(config)
scores = eterna.evaluate(trained.run.path)
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eterna.config import LoadedConfig
    from eterna.pipeline.train import Trained
    from eterna.runs import Score

__version__ = "0.1.0"
__all__ = ["evaluate", "load_config", "train"]


def load_config(path: str | PathLike[str], **overrides: object) -> LoadedConfig:
    """Read a run file; `overrides` are dotted names, e.g. **{"training.seed": 7}. Raises ConfigError."""
    from eterna.config import load_config as load

    return load(Path(path), [(name, str(value)) for name, value in overrides.items()])


def train(config: LoadedConfig, *, resume: bool = False, quiet: bool = False) -> Trained:
    """Train as the config says. Raises UserError before anything is written."""
    from rich.console import Console

    from eterna.pipeline.train import train as run

    trained = run(config, Console(quiet=quiet), resume)
    assert trained is not None
    return trained


def evaluate(run: str | PathLike[str]) -> list[Score]:
    """Score a run's base and tuned model on its held-out data."""
    from eterna.pipeline.evaluate import evaluate as score

    return score(Path(run)).scores
