"""`eterna train --dry-run` on a machine that cannot do the run: the plan as far as it goes, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eterna.config import LoadedConfig, RunConfig
from eterna.data import ReadSource, gather_sources
from eterna.errors import Problem, UnavailableError
from eterna.models import Precision
from eterna.models.known import known_shape
from eterna.pipeline.fits import free_memory
from eterna.pipeline.inputs import read_world, read_yardsticks
from eterna.pipeline.plan import (
    count_steps,
    load_shape,
    make_plan,
    model_line,
    print_lines,
    resolve_precision,
    show_plan,
    steps_line,
)
from eterna.pipeline.room import room_problems
from eterna.pipeline.sizing import Size, describe_memory, describe_trained, fullest_batch, measure_size
from eterna.text import plural

if TYPE_CHECKING:
    from rich.console import Console


def show_outline(loaded: LoadedConfig, console: Console) -> None:
    """Print the plan; what this machine cannot do is listed below it. Raises UserError for the user's own mistakes."""
    try:
        plan = make_plan(loaded)
    except UnavailableError:
        _show_partly(loaded, console)
        return
    show_plan(plan, console)
    _show_missing([*_memory_problems(plan.size), *room_problems(plan)], console)


def _show_partly(loaded: LoadedConfig, console: Console) -> None:
    from eterna.training import build_arguments, describe_schedule, plan_schedule

    config, missing = loaded.config, []
    try:
        precision = resolve_precision(loaded)
    except UnavailableError as error:
        missing += error.problems
        precision = Precision(config.training.precision, "asked for")
    # fp16 is refused by transformers itself where there is no GPU; nothing below depends on it.
    arguments = build_arguments(config.training, "fp32" if missing else precision.name, config.data.holds_out)
    world = read_world(config)
    read_yardsticks(config.evaluation, world)
    read, copies = gather_sources(config.data, config.training.seed, world)
    try:
        shape = load_shape(config)
    except UnavailableError as error:
        missing += error.problems
        shape = known_shape(config.model.name)
    train = [source for source in read if source.part == "train"]
    ids = [example.id for source in train for example in source.content.examples]
    weights = [source.weight for source in train for _ in source.content.examples]
    steps = count_steps(config, ids, weights, arguments)
    lines = [("run", f"{config.name} -> {config.training.output_dir}")]
    size = (
        measure_size(config, shape, arguments, precision.name, fullest_batch(config, arguments.device.type == "cpu"))
        if shape
        else None
    )
    lines.append(("model", model_line(config, size) if size else f"{config.model.name}: its size is not known here"))
    lines += [("trained", describe_trained(size, config))] if size else []
    lines.append(("precision", f"{precision.name} ({precision.reason})"))
    lines += [(source.part, _source_line(source)) for source in read]
    lines.append(("steps", steps_line(config, steps) + (", if no text is split" if _may_split(config) else "")))
    lines.append(("rate", describe_schedule(arguments, plan_schedule(arguments, steps))))
    if size:
        lines.append(("memory", describe_memory(size, config.training.activation_checkpointing)))
        missing += _memory_problems(size)
    print_lines([*lines, *(("note", note) for note in [*loaded.notes, *copies.notes(config.data)])], console)
    _show_missing(missing, console)


def _source_line(source: ReadSource) -> str:
    examples = source.content.examples
    size = sum(len(example.text) + sum(len(one["content"]) for one in example.messages) for example in examples)
    parts = [plural(len(examples), "example"), plural(size, "character")]
    parts += [plural(len(source.content.skipped), "skipped row")] if source.content.skipped else []
    return f"{source.name}: {', '.join(parts)}"


def _may_split(config: RunConfig) -> bool:
    return config.data.too_long in ("split", "drop") and config.training.max_steps <= 0


def _memory_problems(size: Size) -> list[Problem]:
    needed = size.memory.needed
    import torch

    free, where = free_memory(torch)
    if free is None or needed <= free:
        return []
    message = f"the run takes {needed / 2**30:.1f} GiB before activations; {free / 2**30:.1f} GiB of {where} is free"
    return [Problem(message, fix="model.quantization: nf4 with a lora section, or a smaller model.name")]


def _show_missing(missing: Sequence[Problem], console: Console) -> None:
    if missing:
        console.print("\nthis machine cannot do it:", highlight=False)
    for problem in missing:
        console.print(f"  - {problem}", highlight=False, markup=False, soft_wrap=True)
