"""Training curves as inline SVG: text stays text, the page's style sheet gives the colours."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

from eterna.reports.signs import number, tick

Points = list[tuple[float, float]]

# matplotlib cannot write `currentColor` or a CSS variable, so it draws in colours that stand for them.
STAND_INS = {"#010203": "currentColor", "#020304": "var(--curve-1)", "#030405": "var(--curve-2)"}
INK, FIRST, SECOND = STAND_INS


@dataclass(frozen=True)
class Line:
    """One curve of a chart: a key of the metric rows."""

    key: str
    label: str
    colour: str
    marked: bool = False
    """Few points, each shown with a dot; the lowest is the best."""
    planned: bool = False
    """Known before training: drawn as a broken line."""


@dataclass(frozen=True)
class Chart:
    """One chart: which figures it shows and how its axis reads."""

    name: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    missing: str
    """What to say when nothing was logged."""
    wide: bool = False


@dataclass(frozen=True)
class Drawn:
    """A chart for the page: its SVG, or None with the reason, and what it shows in words."""

    title: str
    svg: str | None
    caption: str
    wide: bool


NO_EVAL = "No evaluation was logged during this run."
NO_TRAIN = "No training step was logged."
CHARTS = (
    Chart(
        "loss",
        "Loss",
        "loss (nats per token)",
        (
            Line("train/loss", "training", FIRST),
            Line("eval/loss", "held-out", SECOND, marked=True),
        ),
        "Neither training nor held-out loss was logged.",
        wide=True,
    ),
    Chart(
        "perplexity",
        "Perplexity on held-out text",
        "perplexity (tokens)",
        (Line("eval/perplexity", "held-out", SECOND, marked=True),),
        NO_EVAL,
        wide=True,
    ),
    Chart(
        "learning-rate",
        "Learning rate",
        "learning rate",
        (
            Line("train/learning_rate", "learning rate", FIRST),
            Line("plan/learning_rate", "planned", SECOND, planned=True),
        ),
        NO_TRAIN,
    ),
    Chart(
        "gradient-norm",
        "Gradient norm",
        "norm before clipping",
        (Line("train/grad_norm", "gradient norm", FIRST),),
        NO_TRAIN,
    ),
    Chart(
        "speed",
        "Speed",
        "tokens per second",
        (Line("train/tokens_per_second", "tokens per second", FIRST),),
        NO_TRAIN,
    ),
)


def draw_all(rows: list[dict[str, Any]]) -> list[Drawn]:
    """Every chart of a run."""
    return [draw(chart, rows) for chart in CHARTS]


def draw(chart: Chart, rows: list[dict[str, Any]]) -> Drawn:
    """One chart, or the words that stand in its place."""
    curves = [(line, points) for line in chart.lines if (points := points_of(rows, line.key))]
    if not curves:
        return Drawn(chart.title, None, chart.missing, chart.wide)
    return Drawn(chart.title, _svg(chart, curves), " ".join(_caption(*curve) for curve in curves), chart.wide)


def points_of(rows: list[dict[str, Any]], key: str) -> Points:
    """(step, value) of every row that has this figure, in order of step."""
    return sorted((row["step"], row[key]) for row in rows if _has_number(row, "step") and _has_number(row, key))


def best(points: Points) -> tuple[float, float]:
    """The lowest point; the earliest of equals."""
    return min(points, key=lambda point: (point[1], point[0]))


def _has_number(row: dict[str, Any], key: str) -> bool:
    value = row.get(key)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _caption(line: Line, points: Points) -> str:
    (_, first), (step, last) = points[0], points[-1]
    words = f"{line.label.capitalize()}: {number(first)} at first, {number(last)} at step {step:,.0f}"
    if line.marked:
        step, value = best(points)
        words += f", best {number(value)} at step {step:,.0f}"
    return words + "."


def _svg(chart: Chart, curves: list[tuple[Line, Points]]) -> str:
    import matplotlib.style
    from matplotlib.figure import Figure

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": chart.name,
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    out = io.StringIO()
    with matplotlib.style.context(["default", settings]):
        figure = Figure(figsize=(4.8, 2.9) if chart.wide else (3.1, 2.1), layout="constrained")
        _plot(figure.subplots(), chart, curves)
        figure.savefig(
            out, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return _for_page(out.getvalue(), chart)


def _plot(axes: Any, chart: Chart, curves: list[tuple[Line, Points]]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for line, points in curves:
        steps, values = zip(*points, strict=True)
        dots = {"marker": "o", "markersize": 3} if line.marked or len(points) == 1 else {}
        dashes = {"linestyle": (0, (4, 3))} if line.planned else {}
        axes.plot(steps, values, color=line.colour, linewidth=1.4, label=line.label, gid=line.key, **dots, **dashes)
        if line.marked:
            step, value = best(points)
            ring = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.3}
            label = f"best: {number(value)} at step {step:,.0f}"
            axes.plot([step], [value], color=line.colour, linestyle="none", label=label, gid="best", **ring)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel(chart.unit)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(tick))
    axes.grid(axis="y", color=INK, alpha=0.15, linewidth=0.6)
    if len(curves) > 1 or any(line.marked for line, _ in curves):
        axes.legend(frameon=False)


def _for_page(svg: str, chart: Chart) -> str:
    """The drawing without its file wrapping, its colours handed to the page, its ids its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"| version="[^"]*"', "", svg)
    svg = re.sub(r'\bid="', f'id="{chart.name}-', svg)
    svg = svg.replace("url(#", f"url(#{chart.name}-").replace('xlink:href="#', f'href="#{chart.name}-')
    for stand_in, colour in STAND_INS.items():
        svg = svg.replace(stand_in, colour)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{chart.title} by optimizer step" ', 1)
