"""Every figure into the run folder and the trackers, by the same names everywhere."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from eterna.files import read_text, write_json
from eterna.runs import FORMAT, RunFolder
from eterna.runs.folder import CHECKPOINT
from eterna.tracking import Trackers

TRAIN_NAMES = {"loss": "train/loss", "grad_norm": "train/grad_norm", "learning_rate": "train/learning_rate"}

TOKENS_FILE = "tokens_seen.json"
"""In each checkpoint: the tokens trained on up to its step, which falls between two log lines."""


class Recorder(TrainerCallback):  # type: ignore[misc]
    """Writes rows of figures. `meter` tells (seconds spent training, tokens trained on) so far."""

    def __init__(self, run: RunFolder, trackers: Trackers) -> None:
        self.run = run
        self.trackers = trackers
        self.meter: Callable[[], tuple[float, int]] = lambda: (time.monotonic(), 0)
        self.tokens_per_second = 0.0
        self._last = (0.0, 0)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        self._last = self.meter()

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
            figures = {TRAIN_NAMES[name]: float(value) for name, value in logs.items() if name in TRAIN_NAMES}
            (before, tokens_before), self._last = self._last, self.meter()
            now, tokens = self._last
            self.tokens_per_second = (tokens - tokens_before) / max(now - before, 1e-9)
            figures |= {"train/tokens_per_second": self.tokens_per_second, "train/tokens": float(tokens)}
        else:
            figures = {f"eval/{name[5:]}": float(value) for name, value in logs.items() if name.startswith("eval_")}
        if figures:
            self.write(state.global_step, state.epoch or 0.0, figures)
        self.run.write_status("running", state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        if state.is_world_process_zero:
            folder = self.run.path / f"{CHECKPOINT}{state.global_step}"
            write_json(folder / TOKENS_FILE, {"format": FORMAT, "tokens": self.meter()[1]})
            self.run.write_status("running", state.global_step)

    def write(self, step: int, epoch: float, figures: dict[str, float]) -> None:
        """One row; figures that are not finite are left out of it."""
        kept = {name: value for name, value in figures.items() if math.isfinite(value)}
        self.run.add_metrics({"step": step, "epoch": round(epoch, 4), **kept})
        self.trackers.log_metrics(step, kept)


def tokens_at(checkpoint: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Tokens trained on up to a checkpoint; where it does not say, up to the last of the logged `rows`."""
    kept = checkpoint / TOKENS_FILE
    if kept.is_file():
        return int(json.loads(read_text(kept))["tokens"])
    logged = [row["train/tokens"] for row in rows if "train/tokens" in row]
    return int(logged[-1]) if logged else 0
