"""`eterna runs`: run folders listed, shown and compared, from their records alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eterna.config import method_of
from eterna.errors import UserError
from eterna.pipeline.records import flat
from eterna.runs import SYSTEMS, RunFolder, Score


@dataclass(frozen=True)
class RunLine:
    """One run in a list. `damaged` says why nothing else is known of it."""

    name: str
    path: str
    state: str = "damaged"
    step: int | None = None
    model: str = ""
    method: str = ""
    base: float | None = None
    """Perplexity of the base model on the run's held-out data."""
    tuned: float | None = None
    when: str | None = None
    """When the last figure was written, ISO 8601 in UTC."""
    damaged: str | None = None

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def list_runs(folder: Path) -> list[RunLine]:
    """The runs of a folder, newest last. Raises UserError when there is no such folder; a damaged run is a line."""
    if not folder.is_dir():
        raise UserError(f"no such folder: {folder}", fix="name the folder of your runs, or train one first")
    lines = [read_line(RunFolder(item.parent)) for item in sorted(folder.glob("*/resolved.yaml"))]
    return sorted(lines, key=lambda line: line.when or "")


def read_line(run: RunFolder) -> RunLine:
    """A run in short."""
    name, path = run.path.name, str(run.path)
    try:
        config, status = run.config(), run.status()
        perplexity = {one.system: one.value for one in run.scores() if one.metric == "perplexity" and not one.part}
        when = last_written(run)
    except UserError as error:
        return RunLine(name, path, damaged=error.problems[0].line)
    state, step = str(status.get("state", "unknown")), status.get("step")
    base, tuned = perplexity.get("base"), perplexity.get("tuned")
    return RunLine(name, path, state, step, config.model.name, method_of(config), base, tuned, when)


def last_written(run: RunFolder) -> str:
    """When the last figure was logged; before the first, when the run began. Raises RunError."""
    times = [row["time"] for row in run.metrics() if isinstance(row.get("time"), int | float)]
    seconds = times[-1] if times else run.resolved.stat().st_mtime
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class RunView:
    """One run in full."""

    line: RunLine
    message: str | None
    """What the status says besides its state."""
    settings: dict[str, Any]
    """Dotted names of what differs from the defaults."""
    sources: list[dict[str, Any]]
    scores: list[Score]
    control: str | None
    """Which model the scores were held against beside the base, in words."""
    figures: dict[str, float]
    """The last value of every figure."""
    files: dict[str, int]
    """Bytes of each file and folder of the run."""

    def record(self) -> dict[str, Any]:
        """Plain values for JSON; slices of scores included."""
        scores = [score.as_row() for score in self.scores]
        rest = {name: getattr(self, name) for name in ("message", "settings", "sources", "control", "figures", "files")}
        return self.line.record() | rest | {"scores": scores}


def show_run(path: Path) -> RunView:
    """Everything a run's records say. Raises RunError for a folder without a run, UserError for a damaged one."""
    run = RunFolder.open(path)
    settings = flat(run.config().model_dump(mode="json", exclude_defaults=True, exclude_none=True))
    figures: dict[str, float] = {}
    for row in run.metrics():
        figures |= {name: value for name, value in row.items() if name not in ("step", "epoch", "time")}
    files = {item.name + ("/" if item.is_dir() else ""): size_of(item) for item in sorted(path.iterdir())}
    sources = run.data().get("sources", [])
    return RunView(
        read_line(run), run.status().get("message"), settings, sources, run.scores(), run.control(), figures, files
    )


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(item.stat().st_size for item in [path, *path.rglob("*")] if item.is_file())


@dataclass(frozen=True)
class ScorePair:
    """One figure of two runs; `not_comparable` says why they may not be set against each other."""

    metric: str
    system: str
    a: float | None
    b: float | None
    difference: float | None
    not_comparable: str | None


@dataclass(frozen=True)
class Comparison:
    """What two runs differ in."""

    a: str
    b: str
    settings: dict[str, tuple[Any, Any]]
    """Dotted name to the value of each run; None where it is not set."""
    scores: list[ScorePair] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def compare_runs(a: Path, b: Path) -> Comparison:
    """Two runs side by side. Raises RunError for a folder without a run."""
    first, second = RunFolder.open(a), RunFolder.open(b)
    left, right = (flat(run.config().model_dump(mode="json", exclude_none=True)) for run in (first, second))
    settings = {
        name: (left.get(name), right.get(name))
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    }
    return Comparison(str(a), str(b), settings, list(_pairs(first.scores(), second.scores())))


def _pairs(first: list[Score], second: list[Score]) -> Iterator[ScorePair]:
    left, right = ({(one.name, one.system): one for one in some if one.whole} for some in (first, second))
    for metric in dict.fromkeys(metric for metric, _ in [*left, *right]):
        for system in SYSTEMS:
            a, b = left.get((metric, system)), right.get((metric, system))
            reason = why_not(a, b)
            values = (a.value if a else None, b.value if b else None)
            both = values[0] is not None and values[1] is not None and reason is None
            yield ScorePair(metric, system, *values, values[1] - values[0] if both else None, reason)  # type: ignore[operator]


def why_not(a: Score | None, b: Score | None) -> str | None:
    """Why two scores are not comparable: the parts of their signatures that differ (data, window, ...)."""
    if a is None or b is None:
        return "scored in one run only"
    if a.signature == b.signature:
        return None
    left, right = a.signature.split("|"), b.signature.split("|")
    mine, other = ([part for part in some if part not in rest] for some, rest in ((left, right), (right, left)))
    return f"{' '.join(mine) or 'nothing'} against {' '.join(other) or 'nothing'}"
