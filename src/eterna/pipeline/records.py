"""What a run hands to its records and trackers: settings as flat names, the world, the finished model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eterna.pipeline.plan import Plan
from eterna.runs import RunFolder, Score
from eterna.tracking import Trackers
from eterna.world import World


def track_result(plan: Plan, run: RunFolder, trackers: Trackers, scores: Sequence[Score], step: int) -> None:
    """What only a finished run has: scores as metrics, its files, and the model for a registry."""
    figures = {f"score/{one.name}/{one.system}": one.value for one in scores if one.value is not None and one.whole}
    trackers.log_metrics(step, figures)
    for path in (run.path / name for name in ("samples.jsonl", "metrics.jsonl", "scores.json", "report.html")):
        if path.is_file():
            trackers.log_file(path)
    trained_on = (report.sha256 for report in plan.data.reports if report.part == "train")
    tags = {"run": plan.config.name, "base_model": plan.config.model.name, "data_sha256": "+".join(trained_on)}
    trackers.register_model(run.final, tags)


def world_record(world: World | None) -> dict[str, Any]:
    """What data.json keeps of the world."""
    if world is None:
        return {}
    return {"world": {"id": world.id, "title": world.title, "licence": world.licence, "languages": world.languages}}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names; a table whose keys are no names, such as patterns of layers, is one value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and all(str(inner).isidentifier() for inner in value):
            found |= flat(value, f"{name}.")
        else:
            found[name] = value
    return found
