"""The learning rate of every step, known before training by transformers' own schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eterna.errors import ConfigError
from eterna.text import first_line, plural

BLOCKS = "▁▂▃▄▅▆▇█"


def plan_schedule(arguments: Any, steps: int) -> list[float] | None:
    """The learning rate used in step 1, 2, ..., `steps`.

    None for the schedules that follow the results (reduce_lr_on_plateau, greedy). Raises ConfigError where transformers
    refuses the schedule's own settings.
    """
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=arguments.learning_rate)
    try:
        schedule = get_scheduler(
            arguments.lr_scheduler_type,
            optimizer=optimizer,
            num_warmup_steps=arguments.get_warmup_steps(steps),
            num_training_steps=steps,
            scheduler_specific_kwargs=dict(arguments.lr_scheduler_kwargs or {}),
        )
        if not isinstance(schedule, torch.optim.lr_scheduler.LambdaLR):
            return None
        # A LambdaLR's rate depends on the step alone, so no step has to be taken.
        (base,), (share,) = schedule.base_lrs, schedule.lr_lambdas
        return [base * share(step) for step in range(steps)]
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ConfigError(
            f"transformers refuses the schedule {arguments.lr_scheduler_type.value}: {first_line(error)}",
            fix="its settings go into training.lr_scheduler_kwargs",
        ) from error


def thin_schedule(rates: Sequence[float], most: int = 1000) -> list[tuple[int, float]]:
    """(step, rate) of at most `most` steps: evenly spaced, with the first, the last and the highest."""
    last = len(rates) - 1
    if last < most:
        chosen = set(range(len(rates)))
    else:
        chosen = {round(number * last / (most - 2)) for number in range(most - 1)} | {_peak(rates)}
    return [(index + 1, rates[index]) for index in sorted(chosen)]


def describe_schedule(arguments: Any, rates: Sequence[float] | None, width: int = 32) -> str:
    """One line: the curve in block characters, its first, highest and last rate, the steps of warm-up."""
    name = arguments.lr_scheduler_type.value
    if rates is None:
        return f"{arguments.learning_rate:g} at first, then by the results on data.eval ({name})"
    peak = _peak(rates)
    points = [f"{rates[0]:.3g}"] if peak else []
    points += [f"{rates[peak]:.3g} at step {peak + 1:,}"]
    points += [f"{rates[-1]:.3g} at step {len(rates):,}"] if peak + 1 < len(rates) else []
    warmup = arguments.get_warmup_steps(len(rates)) if name != "constant" else 0
    words = f", {plural(warmup, 'step')} of warm-up" if warmup else ""
    if warmup >= len(rates):
        words += f": longer than the run, so the rate never reaches {arguments.learning_rate:g}"
    return f"{_curve(rates, width)}  {' -> '.join(points)}{words} ({name})"


def _peak(rates: Sequence[float]) -> int:
    return max(range(len(rates)), key=lambda index: rates[index])


def _curve(rates: Sequence[float], width: int) -> str:
    width = min(width, len(rates))
    shown = [rates[round(column * (len(rates) - 1) / max(width - 1, 1))] for column in range(width)]
    top = max(shown) or 1.0
    return "".join(BLOCKS[round(rate / top * (len(BLOCKS) - 1))] for rate in shown)
