"""Progress for people: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from eterna.text import duration
from eterna.training.recording import Recorder

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar


class Progress(TrainerCallback):  # type: ignore[misc]
    """Step, loss, tokens/s and time left; `live` False keeps to plain lines on a terminal too."""

    def __init__(self, console: Console, recorder: Recorder, live: bool = True) -> None:
        self.console = console
        self.live = live
        self.recorder = recorder
        self.bar: Bar | None = None
        self.task: Any = None
        self.started = (0.0, 0)
        self.loss = float("nan")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        self.started = (time.monotonic(), state.global_step)
        if not (self.live and state.is_world_process_zero and self.console.is_terminal):
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self.bar = Bar(*columns, console=self.console, transient=True)
        self.task = self.bar.add_task("", total=state.max_steps, completed=state.global_step)
        self.bar.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        if self.bar:
            self.bar.update(self.task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **rest: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs:
            return
        if "loss" in logs:
            self.loss = logs["loss"]
            speed = f"{self.recorder.tokens_per_second:,.0f} tokens/s"
            if self.bar:
                self.bar.update(self.task, description=f"loss {self.loss:.3f}  {speed}")
            else:
                self.say(
                    f"step {state.global_step}/{state.max_steps}  loss {self.loss:.3f}  {speed}  {self._left(state)}"
                )
        elif "eval_perplexity" in logs:
            self.say(f"step {state.global_step}/{state.max_steps}  held-out perplexity {logs['eval_perplexity']:.2f}")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        if state.is_world_process_zero:
            self.say(f"step {state.global_step}/{state.max_steps}  saved checkpoint-{state.global_step}")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar down; also after a failure."""
        if self.bar:
            self.bar.stop()
            self.bar = None

    def say(self, line: str) -> None:
        """One plain line, above the bar if there is one."""
        (self.bar.console if self.bar else self.console).print(line, highlight=False, markup=False, soft_wrap=True)

    def _left(self, state: TrainerState) -> str:
        begun, step = self.started
        done = state.global_step - step
        if not done or state.global_step >= state.max_steps:
            return ""
        left = (time.monotonic() - begun) / done * (state.max_steps - state.global_step)
        return f"{duration(left)} left"
