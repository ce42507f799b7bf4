"""All sources of a run to encoded examples, with a count of everything that was cut or dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from eterna.config import DataSection
from eterna.data.encoding import Encoded, Encoder
from eterna.data.items import Item, choose_items
from eterna.data.sources import RawExample, SourceContent, read_source, source_name
from eterna.errors import DataError, Problem
from eterna.text import plural, shown
from eterna.world import World
from eterna.world.schema import Split


@dataclass
class SourceReport:
    """What became of one source."""

    part: str
    """`train` or `eval`."""
    name: str
    sha256: str
    weight: float
    read: int = 0
    """Examples in the source."""
    examples: int = 0
    """Examples the model sees; more than were read where long texts were split."""
    tokens: int = 0
    trained_tokens: int = 0
    dropped: int = 0
    """Examples past the window left out (too_long: drop)."""
    cut: int = 0
    """Tokens cut off the left (too_long: cut_left)."""
    commit: str | None = None
    """Of a Hub data set."""


@dataclass
class PreparedData:
    """Everything a run trains on and is measured by."""

    train: list[Encoded]
    weights: list[float]
    """How often each training example is seen in an epoch."""
    eval: list[Encoded]
    """Whole, never cut: longer ones are scored in overlapping windows."""
    items: list[Item]
    """Prompts that are answered and scored."""
    reports: list[SourceReport] = field(default_factory=list)
    prompts_too_long: int = 0
    """Prompts passed over while `items` were chosen: they leave no room for a reply."""

    def record(self, chat_template: str | None) -> dict[str, Any]:
        """Plain values for data.json."""
        return {
            "sources": [asdict(report) for report in self.reports],
            "prompts_too_long": self.prompts_too_long,
            "template": chat_template,
        }


SPLITS: dict[str, Split] = {"train": "train", "eval": "validation"}


@dataclass(frozen=True)
class ReadSource:
    """One source as it was read, before anything is tokenized."""

    part: str
    name: str
    weight: float
    content: SourceContent


def read_sources(data: DataSection, world: World | None, parts: Sequence[str] = ("train", "eval")) -> list[ReadSource]:
    """Read all sources of `parts`; needs no model. Raises DataError listing every problem of a source."""
    found: list[ReadSource] = []
    for part in parts:
        for source in getattr(data, part):
            name = source_name(source, SPLITS[part])
            if any((one.part, one.name) == (part, name) for one in found):
                raise DataError(f"the source {name} stands twice in data.{part}", fix="use weight: 2")
            found.append(ReadSource(part, name, source.weight, read_source(source, data.columns, world, SPLITS[part])))
    return found


def prepare_data(
    read: Sequence[ReadSource], data: DataSection, tokenizer: Any, items: int = 0, prompt_window: int | None = None
) -> PreparedData:
    """Encode what was read and make it fit the window. Raises DataError listing every problem."""
    encoder = Encoder(tokenizer)
    prepared = PreparedData([], [], [], [])
    problems: list[Problem] = []
    for source in read:
        content = source.content
        report = SourceReport(source.part, source.name, content.sha256, source.weight, read=len(content.examples))
        report.commit = content.commit
        encoded, wrong = _encode_all(encoder, content.examples, data, source.part, report)
        problems += wrong
        prepared.reports.append(report)
        if source.part == "train":
            prepared.train += encoded
            prepared.weights += [source.weight] * len(encoded)
        else:
            prepared.eval += encoded
    if problems:
        raise DataError(problems)
    if not prepared.train and any(source.part == "train" for source in read):
        counts = "; ".join(
            f"{report.name}: {report.read} read, {report.dropped} dropped" for report in prepared.reports
        )
        fix = "raise data.max_length, or use another too_long policy"
        raise DataError(f"no training example is left ({counts})", fix=fix)
    if items:
        held_out = [example for source in read if source.part == "eval" for example in source.content.examples]
        room = prompt_window or data.max_length
        prepared.items, prepared.prompts_too_long = choose_items(encoder, held_out, items, room)
    return prepared


def _encode_all(
    encoder: Encoder, raw: Sequence[RawExample], data: DataSection, part: str, report: SourceReport
) -> tuple[list[Encoded], list[Problem]]:
    if any(example.messages for example in raw) and (problem := encoder.template_problem()):
        return [], [problem]
    found: list[Encoded] = []
    problems: list[Problem] = []
    for example in raw:
        name = f"{report.name}#{example.id}"
        if example.messages:
            encoded = encoder.messages(name, example.messages, data.train_on, example.group)
        else:
            encoded = encoder.text(name, example.text, example.group)
        if isinstance(encoded, Encoded) and part == "train":
            pieces = fit(encoded, bool(example.messages), data.max_length, data.too_long, report)
        else:
            pieces = encoded if isinstance(encoded, Problem) else [encoded]
        if isinstance(pieces, Problem):
            problems.append(
                replace(pieces, message=f"{pieces.message} (example {shown(example.id)})", place=example.place)
            )
            continue
        found += pieces
    report.examples = len(found)
    report.tokens = sum(len(example.ids) for example in found)
    report.trained_tokens = sum(example.trained for example in found)
    return found, problems


def fit(example: Encoded, is_chat: bool, window: int, policy: str, report: SourceReport) -> list[Encoded] | Problem:
    """Make a training example fit the window by the chosen policy, counting what was lost in `report`."""
    length = len(example.ids)
    if length <= window:
        return [example]
    if policy == "drop":
        report.dropped += 1
        return []
    if policy == "split" and not is_chat:
        return _windows(example, window)
    if policy == "cut_left":
        lost = length - window
        kept = replace(example, ids=example.ids[lost:], weights=(0.0, *example.weights[lost + 1 :]))
        if is_chat and not _starts_in_context(example, lost):
            return Problem(
                f"the last answer alone is longer than the window of {window} tokens",
                fix="raise data.max_length",
            )
        report.cut += lost
        return [kept]
    ways = "set data.too_long to drop or cut_left" if is_chat else "set data.too_long to split, drop or cut_left"
    return Problem(
        f"{plural(length, 'token')} do not fit data.max_length {window}",
        fix=f"raise data.max_length, or {ways}",
    )


def _starts_in_context(example: Encoded, lost: int) -> bool:
    """Whether the last answer survives a cut of `lost` tokens whole: its first token is kept with one before it."""
    last = max(index for index, weight in enumerate(example.weights) if weight > 0)
    while last > 0 and example.weights[last - 1] > 0:
        last -= 1
    return last > lost


def _windows(example: Encoded, window: int) -> list[Encoded]:
    """Consecutive windows that share one token, so that every token but the first is trained exactly once."""
    pieces = []
    for number, start in enumerate(range(0, len(example.ids) - 1, window - 1), start=1):
        ids = example.ids[start : start + window]
        weights = (0.0, *example.weights[start + 1 : start + window])
        pieces.append(replace(example, id=f"{example.id}~{number}", ids=ids, weights=weights, trained_bytes=0))
    return pieces
