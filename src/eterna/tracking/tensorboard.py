"""TensorBoard event files: scalars, sample texts, settings as text and as hyper-parameters."""

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
        self.settings: dict[str, Any] = {}
        self.figures: dict[str, float] = {}

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Settings as one Markdown table, and for the HParams tab."""
        from torch.utils.tensorboard.summary import hparams

        rows = "\n".join(f"| {name} | {str(value).replace('|', '/')} |" for name, value in parameters.items())
        self.writer.add_text("config", f"| setting | value |\n|---|---|\n{rows}", 0)
        self.settings = {
            name: value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
            for name, value in parameters.items()
        }
        _, begun, _ = hparams(self.settings, {})
        self._write(begun)

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """One scalar each."""
        self.figures |= metrics
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

    def register_model(self, final: Path, tags: Mapping[str, str]) -> None:
        """TensorBoard has no registry."""

    def close(self, state: str) -> None:
        """Flush and close.

        Only a finished run gets its list of figures and its end for the HParams tab: any other may be resumed, and
        TensorBoard keeps the first of each. The list is needed where the folder itself is TensorBoard's --logdir.
        """
        from torch.utils.tensorboard.summary import hparams

        self.writer.add_text("status", state, 0)
        if state == "finished":
            lists, _, end = hparams(self.settings, self.figures)
            self._write(lists)
            self._write(end)
        self.writer.close()

    def _write(self, summary: Any) -> None:
        self.writer.file_writer.add_summary(summary)
        self.writer.flush()
