"""Combinations of settings that cannot work, found before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from eterna.config.field_tables import OPTIMIZERS, SCHEDULES
from eterna.config.reading import KeyPath, Marked
from eterna.config.sections import OWN_TRACKERS, RunConfig, Source
from eterna.errors import Problem
from eterna.text import name_hint, shown

Finding = tuple[KeyPath, str, str]  # where, what is wrong, what to do


def impossible_combinations(config: RunConfig, marked: Marked) -> list[Problem]:
    """One problem per combination found, each at the place of the key that is easiest to change."""
    findings = [*_sources(config), *_training(config), *_names(config), *_quantization(config), *_model(config)]
    return [Problem(message, marked.place_of(path), fix) for path, message, fix in findings]


def _sources(config: RunConfig) -> Iterator[Finding]:
    for part, sources in (("train", config.data.train), ("eval", config.data.eval)):
        for index, source in enumerate(sources):
            for message, fix in _source(source, bool(config.world)):
                yield ("data", part, index), f"data.{part}.{index}{message}", fix


def _source(source: Source, has_world: bool) -> Iterator[tuple[str, str]]:
    if (source.path is None) == (source.world is None):
        yield " needs either path or world", "give exactly one of them"
    if source.world and not has_world:
        message = " takes examples of a world, but no world is named"
        yield message, "add `world: eterna:biblioteca`, or your own folder"
    if source.path and (source.voice or source.split):
        yield ": voice and split belong to `world:` sources", "remove them, or use `world: examples`"
    if source.world and source.format != "auto":
        yield ": format belongs to `path:` sources", "remove it"


def _training(config: RunConfig) -> Iterator[Finding]:
    training = config.training
    if training.eval_strategy in ("steps", "epoch") and not config.data.eval:
        message = f"training.eval_strategy is {training.eval_strategy!r}, but data.eval is empty"
        yield ("training", "eval_strategy"), message, "add a source under `data: eval:`"
    if training.max_steps == 0:
        yield ("training", "max_steps"), "training.max_steps is 0", "-1 follows num_train_epochs"
    if "none" in training.report_to and len(training.report_to) > 1:
        yield ("training", "report_to"), "training.report_to names none beside others", "[none], or names of trackers"
    if "all" in training.report_to:
        message = "training.report_to: all is not supported"
        yield ("training", "report_to"), message, f"name them: {', '.join(OWN_TRACKERS)}"


def _names(config: RunConfig) -> Iterator[Finding]:
    for key, known in (("optim", OPTIMIZERS), ("lr_scheduler_type", SCHEDULES)):
        name = getattr(config.training, key)
        if name not in known:
            yield ("training", key), f"training.{key} is {shown(name)}", name_hint(name, known, limit=50)


def _quantization(config: RunConfig) -> Iterator[Finding]:
    if config.model.quantization == "none":
        return
    place, held = ("model", "quantization"), f"model.quantization: {config.model.quantization}"
    if config.model.init == "random":
        yield place, f"{held} holds pretrained weights, but model.init is random", "remove one of the two"
    elif not config.lora:
        message = f"{held} without a lora section: weights held in 4 bits cannot be trained"
        yield place, message, "add `lora:` (QLoRA), or remove model.quantization for full fine-tuning"
    if config.model.dtype != "auto":
        message = f"model.dtype is {config.model.dtype}, but {held} holds the weights in 4 bits"
        yield ("model", "dtype"), message, "remove model.dtype; training.precision sets the arithmetic"


def _model(config: RunConfig) -> Iterator[Finding]:
    if config.model.init == "random" and config.lora:
        message = "LoRA on random weights (model.init: random) trains next to nothing"
        yield ("model", "init"), message, "remove the lora section to train from scratch, or use init: pretrained"
    if config.generation.max_new_tokens >= config.data.max_length:
        message = f"generation.max_new_tokens ({config.generation.max_new_tokens}) leaves no room for a prompt"
        yield ("generation", "max_new_tokens"), message, f"keep it below data.max_length ({config.data.max_length})"
