"""The tracker protocol, the table of trackers, and the guard that keeps a broken one from stopping a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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

    def register_model(self, final: Path, tags: Mapping[str, str]) -> str | None:
        """Take the finished model into a registry, if the settings ask for it. Returns what to tell the user."""

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
        self.lost: dict[str, Tracker] = {}
        self.warn = warn
        self._complained: set[str] = set()

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

    def register_model(self, final: Path, tags: Mapping[str, str]) -> None:
        """See Tracker. Where a registry fails, the tracker goes on and can still end its run."""
        for name, tracker in self.active.items():
            try:
                said = tracker.register_model(final, tags)
            except Exception as error:  # whatever a registry raises, the run goes on
                said = f"{name} did not register the model ({_first_line(error)}); it is in {final}"
                self._complained.add(name)
            if said:
                self.warn(said)

    def close(self, state: str) -> None:
        """See Tracker. One that failed on the way lacks figures, so its run is ended as failed, if it answers again."""
        for tracker in self.lost.values():
            with suppress(Exception):  # its failure was said when it was lost
                tracker.close("failed")
        self.lost.clear()
        self._each(lambda tracker: tracker.close(state))
        self.active.clear()
        self.lost.clear()

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.active.items()):
            try:
                call(tracker)
            except Exception as error:  # whatever a tracker raises, the run goes on
                self.lost[name] = self.active.pop(name)
                self._lost(name, error)

    def _lost(self, name: str, error: Exception) -> None:
        if name not in self._complained:
            why = _first_line(error)
            self.warn(f"{name} is not reachable, going on without it ({why}); the run folder holds every figure")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def open_trackers(
    names: Sequence[str], folder: Path, run_name: str, section: TrackingSection, warn: Callable[[str], None]
) -> Trackers:
    """Start the trackers of `report_to` that are Eterna's own; `folder` takes TensorBoard's event files."""
    trackers = Trackers(warn)
    for name in TRACKERS:
        if name in names or "all" in names:
            trackers.open(name, lambda name=name: TRACKERS[name](folder, run_name, section))  # type: ignore[misc]
    return trackers
