"""SIGINT and SIGTERM: finish the optimizer step, save a checkpoint, stop. A second signal stops at once.

Several processes agree after each step: a launcher's signal reaches one of them a step earlier than another, and they
can only stop together.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class Interrupt(TrainerCallback):  # type: ignore[misc]
    """A callback and a context manager; `received` holds the signal's number, or 0."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """130 or 143 after a signal, else 0."""
        return 128 + self.received if self.received else 0

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise SystemExit(128 + number)
        self.received = number

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        if args.world_size > 1:
            self.received = _highest(self.received, args.device)
        if self.received:
            control.should_save = True
            control.should_training_stop = True


def _highest(number: int, device: torch.device) -> int:
    """The highest of the processes' numbers."""
    numbers = torch.tensor(number, device=device)
    torch.distributed.all_reduce(numbers, op=torch.distributed.ReduceOp.MAX)
    return int(numbers)
