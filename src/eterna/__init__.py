"""Fine-tune a language model to speak for a fictional world, and prove that it does.

import eterna

config = eterna.load_config("run.yaml")
trained = eterna.train(config)
scores = eterna.evaluate(trained.run.path)
eterna.save(trained, "my-model")
answer, _ = eterna.chat(trained.run.path).reply("Who are you?")

In scripts written for transformers, `from eterna import Trainer, TrainingArguments` is the only line to change; without
a GPU, leave `fp16=True` out too.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eterna.config import LoadedConfig
    from eterna.pipeline.chat import Conversation
    from eterna.pipeline.script_arguments import TrainingArguments
    from eterna.pipeline.script_trainer import Trainer
    from eterna.pipeline.train import Trained
    from eterna.runs import Score

__version__ = "0.1.0"
__all__ = ["Trainer", "TrainingArguments", "chat", "evaluate", "load_config", "save", "train"]


def __getattr__(name: str) -> Any:
    """Trainer and TrainingArguments, imported when they are asked for: they need torch."""
    if name == "Trainer":
        from eterna.pipeline.script_trainer import Trainer

        return Trainer
    if name == "TrainingArguments":
        from eterna.pipeline.script_arguments import TrainingArguments

        return TrainingArguments
    raise AttributeError(f"module 'eterna' has no attribute {name!r}")


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


def save(source: object, folder: str | PathLike[str], *, tokenizer: object = None) -> Path:
    """Save a checkpoint, a run (its final model) or a model in memory as a folder that plain transformers loads.

    source: a path, what `train` returned, a Trainer, any object with `model` and `tokenizer`, or a model together with
    its `tokenizer`. The folder must not exist, or be empty. Returns its path; raises UserError.
    """
    from eterna.pipeline.save import save as run

    return run(source, Path(folder), tokenizer)


def chat(
    run: str | PathLike[str], npc: str | None = None, place: str | None = None, book: str | None = None
) -> Conversation:
    """A conversation with a run's model: `reply(text)` gives the answer and how many old turns it left out."""
    from eterna.pipeline.chat import open_conversation

    return open_conversation(Path(run), npc, place, book)
