"""TensorBoard event files: scalars, sample texts, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class TensorBoardTracker:
    """Writes event files into one folder."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self.writer = SummaryWriter(log_dir=str(folder))

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Settings as one Markdown table."""
        rows = "\n".join(f"| {name} | {str(value).replace('|', '/')} |" for name, value in parameters.items())
        self.writer.add_text("config", f"| setting | value |\n|---|---|\n{rows}", 0)
        self.writer.flush()

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """One scalar each."""
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def log_curve(self, name: str, points: Sequence[tuple[int, float]]) -> None:
        """One scalar a point."""
        for step, value in points:
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def log_text(self, step: int, name: str, text: str) -> None:
        """Under samples/NAME, as a code block so that nothing in it is rendered."""
        block = "\n".join(f"    {line}" for line in text.split("\n"))
        self.writer.add_text(f"samples/{name}", block, step)

    def log_file(self, path: Path) -> None:
        """Event files hold no files."""

    def close(self, state: str) -> None:
        """Flush and close."""
        self.writer.add_text("status", state, 0)
        self.writer.close()
