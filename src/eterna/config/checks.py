"""Combinations of settings that cannot work, found before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from eterna.config.reading import KeyPath, Marked
from eterna.config.sections import OWN_TRACKERS, RunConfig, Source
from eterna.errors import Problem
from eterna.text import name_hint, shown

STRATEGIES = ("random", "sequential", "group_by_length", "batch_rebalance")
Finding = tuple[KeyPath, str, str]  # where, what is wrong, what to do


def impossible_combinations(config: RunConfig, marked: Marked) -> list[Problem]:
    """One problem per combination found, each at the place of the key that is easiest to change."""
    findings = [*_sources(config), *_training(config), *_best(config), *_model(config)]
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

    if (strategy := (training.model_extra or {}).get("train_sampling_strategy", "random")) not in STRATEGIES:
        message = f"training.train_sampling_strategy is {shown(strategy)}"
        yield ("training", "train_sampling_strategy"), message, f"one of: {', '.join(STRATEGIES)}"


def _best(config: RunConfig) -> Iterator[Finding]:
    """What transformers demands of a run that looks for its best checkpoint."""
    training, asked = config.training, config.training.model_extra or {}
    metric, at_end = asked.get("metric_for_best_model"), asked.get("load_best_model_at_end")
    by_best = training.save_strategy == "best"
    if not (metric or at_end or by_best):
        return
    name = "load_best_model_at_end" if at_end else "save_strategy" if by_best else "metric_for_best_model"
    if not config.data.eval or training.eval_strategy == "no":
        message = f"training.{name} needs evaluations, but there are none"
        yield ("training", name), message, "add a source under `data: eval:`, and leave eval_strategy out"
        return
    if by_best and not (metric or at_end):
        message = "training.save_strategy is best, but no metric is named"
        yield ("training", name), message, "metric_for_best_model: perplexity"
    measured = ["loss", "perplexity", "bits_per_byte", *config.evaluation.during_training.metrics]
    measured += ["composite"] if config.evaluation.best else []
    if metric and not str(metric).removeprefix("eval_").startswith(tuple(measured)):
        message = f"training.metric_for_best_model is {shown(metric)}, which no evaluation measures"
        fix = f"{name_hint(str(metric), set(measured))} More are measured by evaluation.during_training.metrics"
        yield ("training", "metric_for_best_model"), message, fix
    if at_end and not by_best:
        yield from _saved_when_evaluated(config)


def _saved_when_evaluated(config: RunConfig) -> Iterator[Finding]:
    training = config.training
    evaluates = "steps" if training.eval_strategy == "auto" else training.eval_strategy
    every = training.eval_steps or training.logging_steps
    if evaluates != training.save_strategy:
        message = (
            "training.load_best_model_at_end needs a checkpoint where there is an evaluation, but eval_strategy is"
            f" {evaluates} and save_strategy is {training.save_strategy}"
        )
        yield ("training", "save_strategy"), message, f"save_strategy: {evaluates}, or best"
    elif evaluates == "steps" and every >= 1 and training.save_steps >= 1 and training.save_steps % every:
        message = (
            "training.load_best_model_at_end needs an evaluation at each checkpoint, but save_steps"
            f" {training.save_steps:g} is no multiple of eval_steps {every:g}"
        )
        fix = f"save_steps: {max(1, round(training.save_steps / every)) * every:g}"
        yield ("training", "save_steps"), message, fix


def _model(config: RunConfig) -> Iterator[Finding]:
    if config.model.init == "random" and config.lora:
        message = "LoRA on random weights (model.init: random) trains next to nothing"
        yield ("model", "init"), message, "remove the lora section to train from scratch, or use init: pretrained"
    if config.generation.max_new_tokens >= config.data.max_length:
        message = f"generation.max_new_tokens ({config.generation.max_new_tokens}) leaves no room for a prompt"
        yield ("generation", "max_new_tokens"), message, f"keep it below data.max_length ({config.data.max_length})"
