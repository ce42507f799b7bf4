"""What a run will do, found out before any weight is loaded and before anything is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eterna.config import LoadedConfig, RunConfig, method_of
from eterna.data import PreparedData, ReadSource, SourceReport, gather_sources, prepare_data
from eterna.data.file_notes import file_notes
from eterna.data.openings import check_openings
from eterna.errors import ConfigError, ModelError
from eterna.models import Precision, choose_precision, find_model, load_tokenizer
from eterna.models.config_files import check_tokenizer
from eterna.models.generating import held_tokens
from eterna.models.loading import hub_options, readable_failure
from eterna.models.weight_files import check_weights
from eterna.pipeline.forecast import describe_time, forecast_seconds
from eterna.pipeline.hub import check_login
from eterna.pipeline.inputs import Yardsticks, prompt_room, read_world, read_yardsticks
from eterna.pipeline.preflight import check_ratings
from eterna.pipeline.room import Disk, describe_disk, measure_disk, memory_notes
from eterna.pipeline.sizing import Size, describe_memory, describe_trained, heaviest_batch, measure_size
from eterna.pipeline.step_notes import step_notes
from eterna.seeding import order_of_epoch
from eterna.text import plural, printable
from eterna.world import World

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Plan:
    """Everything known before the first step."""

    loaded: LoadedConfig
    tokenizer: Any
    world: World | None
    yardsticks: Yardsticks
    read: list[ReadSource]
    data: PreparedData
    precision: Precision
    arguments: Any
    """transformers' TrainingArguments."""
    steps: int
    rates: list[float] | None
    """Learning rate of each step; None where it follows the results."""
    size: Size
    disk: Disk
    seconds: tuple[float, float]
    """The least and the most that training is likely to take."""
    notes: list[str]

    @property
    def config(self) -> RunConfig:
        """The config in force."""
        return self.loaded.config


def resolve_precision(loaded: LoadedConfig) -> Precision:
    """The arithmetic of the run. Raises UnavailableError naming the setting as the user wrote it."""
    training = loaded.config.training
    name, place = loaded.marked.written("training", "precision")
    return choose_precision(training.precision, bool(getattr(training, "use_cpu", False)), name, place)


def make_plan(loaded: LoadedConfig) -> Plan:
    """Check and prepare everything that needs no weights. Raises UserError."""
    from eterna.training import build_arguments, plan_schedule

    config = loaded.config
    precision = resolve_precision(loaded)
    arguments = build_arguments(config.training, precision.name, config.data.holds_out)
    if arguments.push_to_hub:
        check_login(arguments)
    world = read_world(config)
    yardsticks = read_yardsticks(config.evaluation, world)
    # Before the model's files, which may have to come over the network.
    read, copies = gather_sources(config.data, config.training.seed, world)
    check_ratings(yardsticks.ratings, config.evaluation.ratings, read)
    shape = load_shape(config)
    tokenizer, notes = load_tokenizer(config.model)
    check_vocabulary(config, shape, tokenizer)
    data = prepare_data(read, config.data, tokenizer, count_items(config), prompt_room(config))
    check_openings(data.train, tokenizer)
    batch = heaviest_batch(data.train, config.training.per_device_train_batch_size, arguments.device.type == "cpu")
    scored = min(max((len(one.ids) for one in data.eval), default=0), config.data.max_length)
    scored *= config.training.per_device_eval_batch_size
    longest = max((len(item.prompt_ids) for item in data.items), default=0)
    answered = len(data.items), longest + held_tokens(config.generation)
    size = measure_size(config, shape, arguments, precision.name, batch, scored, answered)
    steps = count_steps(config, [example.id for example in data.train], data.weights, arguments)
    if steps < 1:
        raise ConfigError("the run would make no optimizer step", fix="raise training.num_train_epochs or max_steps")
    rates = plan_schedule(arguments, steps)
    disk, seconds = _costs(config, data, arguments, steps, size, precision.name, tokenizer)
    notes = [*loaded.notes, *file_notes(config.data), *notes, *data.notes, *size.notes, *copies.notes(config.data)]
    notes += [*step_notes(loaded, arguments, steps, len(data.train)), *memory_notes(size)]
    if data.prompts_too_long:
        left_out = plural(data.prompts_too_long, "held-out prompt")
        notes.append(f"{left_out} not answered: no room for a reply (max_new_tokens) within data.max_length")
    return Plan(
        loaded,
        tokenizer,
        world,
        yardsticks,
        read,
        data,
        precision,
        arguments,
        steps,
        rates,
        size,
        disk,
        seconds,
        notes,
    )


def _costs(
    config: RunConfig, data: PreparedData, arguments: Any, steps: int, size: Size, precision: str, tokenizer: Any
) -> tuple[Disk, tuple[float, float]]:
    """Disk of the run folder, and between how many seconds the training may take."""
    seen = steps * arguments.train_batch_size * arguments.gradient_accumulation_steps  # examples, in this process
    an_epoch = len(order_of_epoch([one.id for one in data.train], data.weights, 0, 0))
    epochs = math.ceil(seen * arguments.world_size / max(an_epoch, 1))
    tokens = seen * sum(len(example.ids) for example in data.train) / len(data.train)
    disk = measure_disk(config, size, tokenizer, arguments, steps, epochs)
    return disk, forecast_seconds(size, tokens, arguments.device, precision)


def count_items(config: RunConfig) -> int:
    """How many prompts are answered at most: probes, samples during training, samples of the final scores."""
    settings = config.evaluation
    return max(settings.probes, settings.during_training.samples, settings.samples)


def load_shape(config: RunConfig) -> Any:
    """The model's configuration; its window and its weights' files are checked. Raises ModelError or ConfigError."""
    from transformers import AutoConfig

    source, found = find_model(config.model.name), hub_options(config.model)
    if config.model.init == "pretrained" and Path(source).is_dir():
        check_weights(Path(source))
    if Path(source).is_dir():
        check_tokenizer(Path(source))
    with readable_failure(config.model.name):
        shape = AutoConfig.from_pretrained(source, **found)
    longest = getattr(shape, "max_position_embeddings", None)
    if longest and config.data.max_length > longest:
        raise ConfigError(
            f"data.max_length is {config.data.max_length}, but {config.model.name} takes {longest} tokens at most",
            fix=f"data.max_length: {longest}",
        )
    return shape


def check_vocabulary(config: RunConfig, shape: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer that knows tokens the model has no embedding for."""
    size = getattr(shape, "vocab_size", None)
    if size and len(tokenizer) > size:
        raise ModelError(
            f"the tokenizer of {config.model.name} has {len(tokenizer):,} tokens, the model {size:,}",
            fix="use the tokenizer that belongs to the model",
        )


def count_steps(config: RunConfig, ids: Sequence[str], weights: Sequence[float], arguments: Any) -> int:
    """Optimizer steps of the run, over all processes, as transformers counts them. ids, weights: of the examples.

    Raises ConfigError where an epoch holds no batch: transformers would stop at once and save the base as finished.
    """
    training = config.training
    examples = len(order_of_epoch(ids, weights, 0, 0))
    whole = math.floor if arguments.dataloader_drop_last else math.ceil
    batches: int = whole(whole(examples / arguments.train_batch_size) / arguments.world_size)
    if arguments.dataloader_drop_last and arguments.train_sampling_strategy == "batch_rebalance":
        batches -= batches % training.gradient_accumulation_steps  # it drops whole steps
    if not batches:
        raise ConfigError(
            f"the run would make no optimizer step: {plural(examples, 'example')} a pass are fewer than a batch, and"
            " training.dataloader_drop_last leaves an incomplete one out",
            fix="lower training.per_device_train_batch_size, or remove dataloader_drop_last",
        )
    if training.max_steps > 0:
        return training.max_steps
    steps_per_epoch = max(1, math.ceil(batches / training.gradient_accumulation_steps))
    return math.ceil(steps_per_epoch * training.num_train_epochs)


def show_plan(plan: Plan, console: Console) -> None:
    """The plan in plain lines."""
    from eterna.training import describe_schedule

    config = plan.config
    lines = [("run", f"{config.name} -> {config.training.output_dir}"), ("model", model_line(config, plan.size))]
    lines.append(("trained", describe_trained(plan.size, config)))
    lines.append(("precision", f"{plan.precision.name} ({plan.precision.reason})"))
    lines += [(report.part, _source_line(report)) for report in plan.data.reports]
    lines += [("steps", steps_line(config, plan.steps)), ("rate", describe_schedule(plan.arguments, plan.rates))]
    lines.append(("memory", describe_memory(plan.size, plan.config.training.activation_checkpointing)))
    lines.append(("disk", describe_disk(plan.disk, Path(config.training.output_dir))))
    lines.append(("time", describe_time(plan.seconds)))
    lines += [("note", note) for note in plan.notes]
    print_lines(lines, console)


def print_lines(lines: Sequence[tuple[str, str]], console: Console) -> None:
    """Names in one column, texts in another."""
    for name, text in lines:
        console.print(f"{name:<10}{printable(text)}", highlight=False, markup=False, soft_wrap=True)


def model_line(config: RunConfig, size: Size) -> str:
    """Name, size, share that is trained and how."""
    share = f"{size.trained:,} trained ({size.trained / size.parameters:.2%})"
    return f"{config.model.name}: {size.parameters:,} parameters, {share}, {method_of(config)}"


def _source_line(report: SourceReport) -> str:
    used = f"{report.trained_tokens / max(report.tokens, 1):.0%} trained"
    if report.part == "eval":
        used = f"{report.trained_tokens:,} scored"
    parts = [plural(report.examples, "example"), plural(report.tokens, "token"), used]
    parts += [plural(report.dropped, "dropped example")] if report.dropped else []
    parts += [plural(report.cut, "cut token")] if report.cut else []
    parts += [plural(report.skipped, "skipped row")] if report.skipped else []
    parts += [f"{report.removed_copies:,} removed as copies"] if report.removed_copies else []
    return f"{report.name}: {', '.join(parts)}"


def steps_line(config: RunConfig, steps: int) -> str:
    """How many steps of what."""
    training = config.training
    batch = plural(training.per_device_train_batch_size * training.gradient_accumulation_steps, "example")
    return f"{steps:,} of {batch} per process, {training.optim}"
