"""Room on the disk and in memory: what a run takes, and whether it is there, before weights are loaded."""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eterna.config import RunConfig
from eterna.errors import Problem
from eterna.pipeline.fits import free_memory, total_memory
from eterna.pipeline.sizing import Size
from eterna.text import plural

if TYPE_CHECKING:
    from eterna.pipeline.plan import Plan

BESIDE_MODEL = 28_000
"""Bytes of a checkpoint beside weights, optimizer and tokenizer: random state, schedule, arguments, Trainer's state."""
BESIDE_ADAPTER = 6_500
"""Bytes of PEFT's card and configuration."""
TENSOR = 600
"""Bytes that a trained tensor takes beside its values: in the weights' header and the optimizer's three entries."""
RECORDS = 64_000
"""Bytes of a run's records and its report before a line is logged."""
LINE = 600
"""Bytes that one logged line leaves in metrics.jsonl, the report and the event files together."""
MEBI = 2**20


@dataclass(frozen=True)
class Disk:
    """Bytes that a finished run holds on the disk."""

    checkpoint: float
    kept: int
    """Checkpoints that remain."""
    final: float
    records: float
    rotating: bool
    """One checkpoint more is there while an old one gives way."""

    @property
    def total(self) -> float:
        """When the run is finished."""
        return self.checkpoint * self.kept + self.final + self.records

    @property
    def most(self) -> float:
        """While it runs."""
        return self.total + self.checkpoint * self.rotating


def measure_disk(config: RunConfig, size: Size, tokenizer: Any, arguments: Any, steps: int, epochs: int) -> Disk:
    """What the run will hold; `epochs` is how many end."""
    model = size.trained * 4.0 if config.lora else size.weights
    words = tokenizer_bytes(tokenizer)
    if config.lora:
        model += BESIDE_ADAPTER
    model += TENSOR * sum(size.layers.values())
    state = 0.0 if arguments.save_only_model else size.trained * size.state
    written = count_checkpoints(config, steps, epochs)
    limit = config.training.save_total_limit or written
    if arguments.load_best_model_at_end or config.evaluation.best:
        limit = max(limit, 2)  # the best one is kept beside the last
    lines = steps / _each(config.training.logging_steps, steps)
    records = RECORDS + LINE * lines
    return Disk(model + state + words + BESIDE_MODEL, min(written, limit), model + words, records, written > limit)


def count_checkpoints(config: RunConfig, steps: int, epochs: int) -> int:
    """How many are written at most: at the intervals, after the last step, and where an evaluation is the best yet."""
    training = config.training
    if training.save_strategy == "no":
        return 0
    if training.save_strategy == "epoch":
        return epochs
    evaluations = math.ceil(steps / _each(training.eval_steps or training.logging_steps, steps))
    if training.save_strategy == "best":
        return evaluations
    # With evaluation.best, any evaluation may be better than all before and leave one more.
    best = evaluations if config.evaluation.best else 0
    return math.ceil(steps / _each(training.save_steps, steps)) + best


def _each(interval: float, steps: int) -> float:
    """An interval in steps; below 1 it is a share of all steps."""
    return max(1.0, math.ceil(interval * steps) if interval < 1 else interval)


def tokenizer_bytes(tokenizer: Any) -> int:
    """Of its files."""
    template = len((tokenizer.chat_template or "").encode()) if isinstance(tokenizer.chat_template, str) else 0
    if getattr(tokenizer, "is_fast", False):
        return len(tokenizer.backend_tokenizer.to_str(pretty=True).encode()) + template
    return 16 * len(tokenizer) + template


def describe_disk(disk: Disk, folder: Path) -> str:
    """One line: what will be there, and what is free."""
    free = shutil.disk_usage(standing(folder)).free
    model = f"final/ {_mebi(disk.final)}"
    checkpoints = f"{plural(disk.kept, 'checkpoint')} of {_mebi(disk.checkpoint)}"
    return f"about {_mebi(disk.most)} at most: {checkpoints}, {model} (model, tokenizer, card); {_mebi(free)} free"


def room_problems(plan: Plan) -> list[Problem]:
    """What the machine has no room for, and folders that cannot be written to."""
    config = plan.config
    output = Path(config.training.output_dir)
    folders = [("training.output_dir", output)]
    if config.tracking.tensorboard_dir and {"tensorboard", "all"} & set(config.training.report_to):
        folders.append(("tracking.tensorboard_dir", Path(config.tracking.tensorboard_dir)))
    problems = [problem for name, folder in folders if (problem := folder_problem(name, folder))]
    free = shutil.disk_usage(standing(output)).free
    if plan.disk.most > free:
        message = f"the run takes {_mebi(plan.disk.most)} on the disk, and {_mebi(free)} are free in {standing(output)}"
        fix = "training.save_total_limit: 1, save_only_model: true, or a training.output_dir on another disk"
        problems.append(Problem(message, plan.loaded.marked.place_of(("training", "output_dir")), fix))
    return problems + memory_problems(plan.size, plan.arguments)


def memory_problems(size: Size, arguments: Any) -> list[Problem]:
    """A run that is larger than the whole machine; what is merely taken at the moment is a note."""
    total, where = machine_memory(arguments)
    if total is None or size.memory.peak <= total or arguments.world_size > 1:
        return []
    message = (
        f"the run takes about {size.memory.peak / 2**30:.1f} GiB, and there are {total / 2**30:.1f} GiB of {where}"
    )
    fix = "a smaller training.per_device_train_batch_size, activation_checkpointing: true, or a smaller model"
    return [Problem(message, fix=fix)]


def memory_notes(size: Size) -> list[str]:
    """A warning where more is needed than is free at the moment."""
    import torch

    free, where = free_memory(torch)
    needed = size.memory.peak - size.memory.program  # the program is there already
    if free is None or needed <= free:
        return []
    return [f"only {free / 2**30:.1f} GiB of {where} are free now, and the run takes about {needed / 2**30:.1f} GiB"]


def machine_memory(arguments: Any) -> tuple[int | None, str]:
    """All bytes of the device that a run is on, and what they are called."""
    if arguments.device.type != "cuda":
        return total_memory(), "memory"
    import torch

    return torch.cuda.get_device_properties(arguments.device).total_memory, "GPU memory"


def folder_problem(name: str, folder: Path) -> Problem | None:
    """Why nothing can be written into a folder that may not be there yet."""
    there = standing(folder)
    fix = f"choose another {name}"
    if not there.is_dir():
        return Problem(f"{name} is {folder}, but {there} is a file", fix=fix)
    try:
        with tempfile.TemporaryDirectory(dir=there):
            return None
    except OSError as error:
        return Problem(f"{name} is {folder}, but {there} cannot be written to: {error.strerror}", fix=fix)


def standing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())


def _mebi(size: float) -> str:
    return f"{size / MEBI:,.1f} MiB" if size < 100 * MEBI else f"{size / MEBI:,.0f} MiB"
