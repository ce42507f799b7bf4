"""A control: another run's model, measured on the same held-out items, to hold this run's model against.

The usual control is the same training on other data. It shows how much of a gain comes from this data rather than from
training at all. Every evaluation writes `measured.jsonl`, what its tuned model did item by item; `evaluation.control`
names such a file, or the folder of the run that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from eterna.config import GenerationSection
from eterna.data import Encoded, Item
from eterna.errors import DataError, Place, Problem
from eterna.evaluation import ItemLoss
from eterna.files import read_json_lines, sha256_of
from eterna.models import Generated
from eterna.runs import MEASURED, RunFolder, Score

PACKAGED = Path(__file__).parents[1] / "recipes"
AGAINST = {"base": "control", "difference": "against_control"}
SAME = "measure the control with the same data.eval, tokenizer, window and generation as this run"


def measured_rows(
    losses: Sequence[ItemLoss], items: Sequence[Item], replies: Sequence[Generated], generation: GenerationSection
) -> Iterator[dict[str, Any]]:
    """What one model did, for measured.jsonl: a row for each held-out example, then one for each reply."""
    for loss in losses:
        yield {"example": loss.id, "nll": loss.nll, "tokens": loss.tokens, "bytes": loss.bytes}
    for item, reply in zip(items, replies, strict=False):
        said = {"reply": reply.text, "tokens": reply.tokens, "stopped": reply.stopped}
        yield {"item": item.id, "asked": _digest(item, generation), **said}


@dataclass(frozen=True)
class Control:
    """What a control did, as its file says."""

    path: Path
    sha256: str
    losses: dict[str, dict[str, Any]]
    """Rows by example."""
    replies: dict[str, dict[str, Any]]
    """Rows by item."""
    origin: str
    """Which model it is, in words."""

    def losses_on(self, examples: Sequence[Encoded]) -> list[ItemLoss]:
        """Of these examples, in their order. Raises DataError where one was not measured, or was another one."""
        found = []
        for one in examples:
            row = self.losses.get(one.id)
            if row is None or (row["tokens"], row["bytes"]) != (one.trained, one.trained_bytes):
                raise self._other("example", one.id, row is not None)
            found.append(ItemLoss(one.id, one.group, row["nll"], row["tokens"], row["bytes"], one.slices))
        return found

    def replies_on(self, items: Sequence[Item], generation: GenerationSection) -> list[Generated]:
        """To these prompts, in their order. Raises DataError where one was not answered, or asked in another way."""
        found = []
        for item in items:
            row = self.replies.get(item.id)
            if row is None or row["asked"] != _digest(item, generation):
                raise self._other("prompt", item.id, row is not None)
            found.append(Generated(row["reply"], row["tokens"], row["stopped"]))
        return found

    def _other(self, what: str, name: str, there: bool) -> DataError:
        said = f"has another {what} under the name of" if there else f"does not have the {what}"
        return DataError(f"the control {said} {name!r}", Place(str(self.path)), SAME)


def origin_of(run: RunFolder) -> dict[str, Any]:
    """Which model a run measured, for its measured.jsonl."""
    config, sources = run.config(), run.data().get("sources", [])
    trained_on = [one["name"] for one in sources if one["part"] == "train"]
    steps = max((row["step"] for row in run.metrics()), default=0)
    return {"run": config.name, "base": config.model.name, "steps": steps, "trained_on": trained_on}


def find_control(given: str) -> Path:
    """`eterna:NAME` is a file that comes with Eterna; a folder is a run's; anything else is a file."""
    if given.startswith("eterna:"):
        return PACKAGED / f"{given.removeprefix('eterna:')}.jsonl"
    path = Path(given)
    return path / MEASURED if path.is_dir() else path


def read_control(given: str) -> Control:
    """The control that `evaluation.control` names. Raises DataError with the line of a row that is none."""
    path = find_control(given)
    losses: dict[str, dict[str, Any]] = {}
    replies: dict[str, dict[str, Any]] = {}
    origin = ""
    for number, row in read_json_lines(path):
        if isinstance(row, Problem):
            raise DataError(row)
        if {"example", "nll", "tokens", "bytes"} <= row.keys():
            losses[row["example"]] = row
        elif {"item", "asked", "reply", "tokens", "stopped"} <= row.keys():
            replies[row["item"]] = row
        elif {"run", "base", "steps", "trained_on"} <= row.keys():
            origin = f"{row['run']}: {row['base']}, {row['steps']} steps on {', '.join(map(str, row['trained_on']))}"
        elif number > 1:
            raise DataError(
                "this is no row of a measured.jsonl", Place(str(path), number), "eterna eval RUN writes one"
            )
    return Control(path, sha256_of(path), losses, replies, origin or str(path))


def against(scores: Sequence[Score]) -> list[Score]:
    """Scores of (control, tuned), computed as base and tuned, under the names that they have beside the base's."""
    return [replace(score, system=AGAINST[score.system]) for score in scores if score.system in AGAINST]


def _digest(item: Item, generation: GenerationSection) -> str:
    asked = repr((item.messages, item.reference, sorted(generation.model_dump(exclude_defaults=True).items())))
    return sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:12]
