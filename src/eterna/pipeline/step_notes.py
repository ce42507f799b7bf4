"""Settings that work but do not do what one may expect, once the number of steps is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eterna.config import LoadedConfig
from eterna.text import plural


def step_notes(loaded: LoadedConfig, arguments: Any, steps: int, examples: int) -> Iterator[str]:
    """One line each."""
    config, training = loaded.config, loaded.config.training
    whole = plural(steps, "step")
    batch = training.per_device_train_batch_size
    if batch > examples:
        yield f"per_device_train_batch_size is {batch}, but there are {plural(examples, 'example')}: one batch an epoch"
    if training.max_steps > 0 and "num_train_epochs" in _written(loaded):
        yield f"max_steps is {training.max_steps}, so num_train_epochs ({training.num_train_epochs:g}) has no effect"
    every = training.eval_steps or training.logging_steps
    if config.data.eval and training.eval_strategy in ("auto", "steps") and every > steps:
        yield f"eval_steps is {every:g} and the run has {whole}: evaluated only before the first and after the last"
    if training.save_strategy == "steps" and training.save_steps > steps:
        yield f"save_steps is {training.save_steps:g} and the run has {whole}: the only checkpoint is the last step's"
    if training.logging_steps > steps:
        yield f"logging_steps is {training.logging_steps:g} and the run has {whole}: only the first step is logged"


def _written(loaded: LoadedConfig) -> set[str]:
    values = loaded.marked.values.get("training")
    return set(values) if isinstance(values, dict) else set()
