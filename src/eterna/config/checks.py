"""Combinations of settings that cannot work, found before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator

from eterna.config.field_tables import MUON, OPTIMIZERS, SCHEDULES
from eterna.config.paths import impossible_paths
from eterna.config.reading import KeyPath, Marked
from eterna.config.sections import METRICS, RunConfig, Source
from eterna.errors import Problem
from eterna.hub import is_hub_id
from eterna.text import name_hint, nearest, shown

WITHOUT_SPLITS = (".jsonl", ".json", ".csv", ".tsv", ".txt")
WORLD_SPLITS = ("train", "validation", "test")

LEVELS = ("detail", "debug", "info", "warning", "error", "critical", "passive")
# Settings that transformers reads, and their words.
PASSED_THROUGH = {
    "train_sampling_strategy": ("random", "sequential", "group_by_length", "batch_rebalance"),
    "logging_strategy": ("no", "steps", "epoch"),
    "hub_strategy": ("end", "every_save", "checkpoint", "all_checkpoints"),
    "log_level": LEVELS,
    "log_level_replica": LEVELS,
}
Finding = tuple[KeyPath, str, str]  # where, what is wrong, what to do


def impossible_combinations(config: RunConfig, marked: Marked) -> list[Problem]:
    """One problem per combination found, each at the place of the key that is easiest to change."""
    parts = (impossible_paths, _sources, _training, _names, _quantization, _best, _model, _generation, _evaluation)
    findings = [finding for part in parts for finding in part(config)]
    return [Problem(message, marked.place_of(path), fix) for path, message, fix in findings]


def _sources(config: RunConfig) -> Iterator[Finding]:
    for part, sources in (("train", config.data.train), ("eval", config.data.eval)):
        for index, source in enumerate(sources):
            for message, fix in _source(source, bool(config.world)):
                yield ("data", part, index), f"data.{part}.{index}{message}", fix
    if config.data.hold_out and not any(source.path for source in config.data.train):
        message = "data.hold_out divides files, but data.train takes all of its examples from the world"
        yield ("data", "hold_out"), message, "remove it: the world has splits of its own (`eval: [{world: examples}]`)"


def _source(source: Source, has_world: bool) -> Iterator[tuple[str, str]]:
    if (source.path is None) == (source.world is None):
        yield " needs either path or world", "give exactly one of them"
    if source.world and not has_world:
        message = " takes examples of a world, but no world is named"
        yield message, "add `world: eterna:biblioteca`, or your own folder"
    if source.path and source.voice:
        yield ": voice belongs to `world:` sources", "remove it, or use `world: examples`"
    if source.path and source.split and source.path.endswith(WITHOUT_SPLITS):
        kind = source.path.rpartition(".")[2]
        yield f": a .{kind} file has no splits", "remove split, or save the data as .parquet"
    if (source.name or source.revision) and not is_hub_id(source.path or ""):
        yield ": name and revision belong to Hub data sets", "remove them, or set `path: owner/name`"
    if source.world and source.format != "auto":
        yield ": format belongs to `path:` sources", "remove it"
    if source.world == "books" and source.split:
        yield ": books have no splits", "remove split; chapters to hold out go into a file of their own"
    elif source.world and source.split not in (None, *WORLD_SPLITS):
        yield f".split is {source.split!r}", f"a world has {', '.join(WORLD_SPLITS)}"


def _training(config: RunConfig) -> Iterator[Finding]:
    training = config.training
    if training.eval_strategy in ("steps", "epoch") and not config.data.holds_out:
        message = f"training.eval_strategy is {training.eval_strategy!r}, but data.eval is empty"
        yield ("training", "eval_strategy"), message, "add a source under `data: eval:`"
    if training.max_steps == 0:
        yield ("training", "max_steps"), "training.max_steps is 0", "-1 follows num_train_epochs"
    if "none" in training.report_to and len(training.report_to) > 1:
        yield ("training", "report_to"), "training.report_to names none beside others", "[none], or names of trackers"
    mlflow = config.tracking.mlflow
    if mlflow.register_as is not None and not {"mlflow", "all"} & set(training.report_to):
        message = "tracking.mlflow.register_as is given, but training.report_to does not name mlflow"
        yield ("tracking", "mlflow", "register_as"), message, "add mlflow to training.report_to"
    if mlflow.alias.lower() == "latest" or re.fullmatch(r"[vV]\d+", mlflow.alias):
        message = f"tracking.mlflow.alias is {mlflow.alias!r}, which MLflow keeps for itself"
        yield ("tracking", "mlflow", "alias"), message, "choose a word such as candidate"
    if not training.fsdp and (training.model_extra or {}).get("fsdp_config"):
        yield ("training", "fsdp_config"), "training.fsdp_config is given, but training.fsdp is false", "add fsdp: true"


def _names(config: RunConfig) -> Iterator[Finding]:
    for key, known in (("optim", OPTIMIZERS), ("lr_scheduler_type", SCHEDULES)):
        name = getattr(config.training, key)
        if name not in known:
            yield ("training", key), f"training.{key} is {shown(name)}", name_hint(name, known, limit=50)
    asked = config.training.model_extra or {}
    if config.training.optim == MUON:
        for key in ("optim_args", "fsdp", "deepspeed"):
            if getattr(config.training, key, None) or asked.get(key):
                message = f"training.{key} is given, but training.optim: muon does not go with it"
                yield ("training", key), message, f"remove {key}, or use another optimizer, such as adamw_torch_fused"
    for key, words in PASSED_THROUGH.items():
        value = asked.get(key)
        if value is not None and value not in words:
            near = nearest(str(value), words)
            proposal = f"did you mean {near!r}? It is " if near else ""
            yield ("training", key), f"training.{key} is {shown(value)}", f"{proposal}one of: {', '.join(words)}"


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


def _best(config: RunConfig) -> Iterator[Finding]:
    """What transformers demands of a run that looks for its best checkpoint."""
    training, asked = config.training, config.training.model_extra or {}
    metric, at_end = asked.get("metric_for_best_model"), asked.get("load_best_model_at_end")
    by_best = training.save_strategy == "best"
    if not (metric or at_end or by_best):
        return
    name = "load_best_model_at_end" if at_end else "save_strategy" if by_best else "metric_for_best_model"
    if not config.data.holds_out or training.eval_strategy == "no":
        message = f"training.{name} needs evaluations, but there are none"
        yield ("training", name), message, "add a source under `data: eval:`, and leave eval_strategy out"
        return
    if by_best and not (metric or at_end):
        message = "training.save_strategy is best, but no metric is named"
        yield ("training", name), message, "metric_for_best_model: perplexity"
    measured = ["loss", "perplexity", "bits_per_byte", *config.evaluation.during_training.metrics]
    measured += ["composite"] if config.evaluation.best else []
    if metric and str(metric).removeprefix("eval_") not in measured:
        message = f"training.metric_for_best_model is {shown(metric)}, which no evaluation measures"
        fix = f"{name_hint(str(metric), set(measured))} More are measured by evaluation.during_training.metrics"
        yield ("training", "metric_for_best_model"), message, fix
    if at_end and not by_best:
        yield from _saved_when_evaluated(config)


def _saved_when_evaluated(config: RunConfig) -> Iterator[Finding]:
    training = config.training
    evaluates = "steps" if training.eval_strategy == "auto" else training.eval_strategy
    every = training.eval_steps or training.logging_steps
    if training.save_strategy == "steps" and 0 < training.max_steps < training.save_steps:
        message = (
            f"training.save_steps is {training.save_steps:g}, past the run's max_steps {training.max_steps}, so"
            " load_best_model_at_end would find no checkpoint"
        )
        yield ("training", "save_steps"), message, f"save_steps: {min(every, training.max_steps):g}"
    elif evaluates != training.save_strategy:
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


def _generation(config: RunConfig) -> Iterator[Finding]:
    settings = config.generation
    if settings.max_new_tokens >= config.data.max_length:
        message = f"generation.max_new_tokens ({settings.max_new_tokens}) leaves no room for a prompt"
        yield ("generation", "max_new_tokens"), message, f"keep it below data.max_length ({config.data.max_length})"
    if settings.redraws and not settings.temperature:
        message = "generation.redraws draws a reply anew, but with temperature 0 it is the same each time"
        yield ("generation", "redraws"), message, "set generation.temperature above 0, or remove redraws"
    if settings.redraws and not (config.world or config.evaluation.canon):
        message = "generation.redraws is for replies that break the canon, but none is given"
        yield ("generation", "redraws"), message, "name a world or evaluation.canon, or remove redraws"


def _evaluation(config: RunConfig) -> Iterator[Finding]:
    settings = config.evaluation
    measured = settings.during_training.metrics
    for name, weight in settings.best.items():
        path = ("evaluation", "best", name)
        if name not in measured:
            message = f"evaluation.best weighs {shown(name)}, which is not measured during training"
            fix = f"add it to evaluation.during_training.metrics ({', '.join(measured)}), or remove it here"
            yield path, message, name_hint(name, METRICS) if name not in METRICS else fix
        elif not weight or (weight > 0) == (name == "perplexity"):
            message = f"evaluation.best.{name} is {weight:g}, which would pick the worst checkpoint"
            yield path, message, "a negative weight for perplexity, a positive one for every other metric"
    if settings.best and not config.data.holds_out:
        yield (
            ("evaluation", "best"),
            "evaluation.best needs held-out data, but data.eval is empty",
            "add a source there",
        )
    if settings.best and config.training.save_strategy == "no":
        message = "evaluation.best keeps the best checkpoint, but training.save_strategy is no"
        yield ("training", "save_strategy"), message, "save_strategy: steps"
    if settings.best and config.training.eval_strategy == "no":
        message = "evaluation.best compares evaluations, but training.eval_strategy is no"
        yield ("training", "eval_strategy"), message, "eval_strategy: steps"
    if settings.early_stopping_patience and not settings.best:
        message = "evaluation.early_stopping_patience needs evaluation.best"
        yield ("evaluation", "early_stopping_patience"), message, "say what better means: best: {perplexity: -1}"
