"""The tracker protocol, the table of trackers, and the guard that keeps a broken one from stopping a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from eterna.config import OWN_TRACKERS, TrackingSection


class Tracker(Protocol):
    """What every tracker can do."""

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Settings of the run, dotted names to plain values."""

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Figures at an optimizer step."""

    def log_curve(self, name: str, points: Sequence[tuple[int, float]]) -> None:
        """A whole curve at once, (step, figure), at most 1000 points."""

    def log_text(self, step: int, name: str, text: str) -> None:
        """A sample reply."""

    def log_file(self, path: Path) -> None:
        """A file worth keeping with the run."""

    def close(self, state: str) -> None:
        """End the run as `finished`, `interrupted` or `failed`."""


def _tensorboard(folder: Path, name: str, section: TrackingSection) -> Tracker:
    from eterna.tracking.tensorboard import TensorBoardTracker

    return TensorBoardTracker(folder)


def _mlflow(folder: Path, name: str, section: TrackingSection) -> Tracker:
    from eterna.tracking.mlflow import MlflowTracker

    return MlflowTracker(name, section.mlflow)


TRACKERS: dict[str, Callable[[Path, str, TrackingSection], Tracker]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
}
assert set(TRACKERS) == set(OWN_TRACKERS)


class Trackers:
    """All trackers of a run as one; the first failure of a tracker is said once, and the tracker left alone."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.active: dict[str, Tracker] = {}
        self.warn = warn

    def open(self, name: str, make: Callable[[], Tracker]) -> None:
        """Start one tracker."""
        try:
            self.active[name] = make()
        except Exception as error:  # whatever a tracker raises, the run goes on
            self._lost(name, error)

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """See Tracker."""
        self._each(lambda tracker: tracker.log_parameters(parameters))

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """See Tracker."""
        self._each(lambda tracker: tracker.log_metrics(step, metrics))

    def log_curve(self, name: str, points: Sequence[tuple[int, float]]) -> None:
        """See Tracker."""
        self._each(lambda tracker: tracker.log_curve(name, points))

    def log_text(self, step: int, name: str, text: str) -> None:
        """See Tracker."""
        self._each(lambda tracker: tracker.log_text(step, name, text))

    def log_file(self, path: Path) -> None:
        """See Tracker."""
        self._each(lambda tracker: tracker.log_file(path))

    def close(self, state: str) -> None:
        """See Tracker."""
        self._each(lambda tracker: tracker.close(state))
        self.active.clear()

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.active.items()):
            try:
                call(tracker)
            except Exception as error:  # whatever a tracker raises, the run goes on
                del self.active[name]
                self._lost(name, error)

    def _lost(self, name: str, error: Exception) -> None:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        self.warn(f"{name} is not reachable, going on without it ({first[:200]}); the run folder holds every figure")


def open_trackers(
    names: Sequence[str], folder: Path, run_name: str, section: TrackingSection, warn: Callable[[str], None]
) -> Trackers:
    """Start the trackers of `report_to` that are Eterna's own; `folder` takes TensorBoard's event files."""
    trackers = Trackers(warn)
    for name in names:
        if name in TRACKERS:
            trackers.open(name, lambda name=name: TRACKERS[name](folder, run_name, section))  # type: ignore[misc]
    return trackers
