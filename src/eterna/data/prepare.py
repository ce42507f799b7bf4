"""All sources of a run to encoded examples, with a count of everything that was cut or dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from eterna.config import DataSection
from eterna.data.encoding import Encoded, Encoder
from eterna.data.examples import RawExample
from eterna.data.fitting import SourceReport, fit
from eterna.data.items import Item, choose_items
from eterna.data.rendering import suit_template
from eterna.data.sources import SourceContent, distinct_labels, read_source, source_name
from eterna.errors import DataError, Problem
from eterna.text import name_hint, shown
from eterna.world import World
from eterna.world.schema import Split


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
    notes: list[str] = field(default_factory=list)
    """How sources were read, and what was arranged to suit the chat template, one line each."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Example id to why the model does not see it."""
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
    of_world: bool = False
    removed_copies: int = 0
    """Examples that are no longer in `content`, because they stand elsewhere too."""

    def skipped_rows(self) -> list[dict[str, Any]]:
        """The rows left out, as lines of skipped.jsonl."""
        return [{"part": self.part, "source": self.name, **row.record()} for row in self.content.skipped]


def read_sources(data: DataSection, world: World | None, parts: Sequence[str] = ("train", "eval")) -> list[ReadSource]:
    """Read all sources of `parts`; needs no model. Raises DataError listing every problem of a source."""
    found: list[ReadSource] = []
    labels = distinct_labels(source.path for part in ("train", "eval") for source in getattr(data, part) if source.path)
    for part in parts:
        for source in getattr(data, part):
            name = source_name(source, SPLITS[part])
            if any((one.part, one.name) == (part, name) for one in found):
                raise DataError(f"the source {name} stands twice in data.{part}", fix="use weight: 2")
            content = read_source(source, data.columns, world, SPLITS[part], data.skip_bad, labels.get(source.path, ""))
            found.append(ReadSource(part, name, source.weight, content, bool(source.world)))
    return found


def prepare_data(
    read: Sequence[ReadSource], data: DataSection, tokenizer: Any, items: int = 0, prompt_window: int | None = None
) -> PreparedData:
    """Encode what was read and make it fit the window. Raises DataError listing every problem.

    The tokenizer's chat template is repaired in place where it cannot write what conversations open with.
    """
    conversations = [raw.messages for source in read for raw in source.content.examples if raw.messages]
    openings = {tuple(message["role"] for message in messages[:2]) for messages in conversations}
    prepared = PreparedData([], [], [], [], notes=suit_template(tokenizer, openings) if openings else [])
    prepared.notes += [note for source in read for note in source.content.notes]
    encoder = Encoder(tokenizer)
    problems: list[Problem] = []
    speakers = _speakers(read, data.train_on)
    for source in read:
        content = source.content
        report = SourceReport(source.part, source.name, content.sha256, source.weight, len(content.examples))
        report.read += source.removed_copies
        report.removed_copies, report.skipped, report.commit = (
            source.removed_copies,
            len(content.skipped),
            content.commit,
        )
        chosen = [example for example in content.examples if _is_chosen(example, speakers)]
        report.excluded = len(content.examples) - len(chosen)
        for example in content.examples:
            if not _is_chosen(example, speakers):
                reason = f"it is answered by {shown(example.scene.voice)}, who is not in data.train_on"
                prepared.left_out[f"{source.name}#{example.id}"] = reason
        encoded, wrong = _encode_all(encoder, chosen, data, source.part, report, prepared.left_out)
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
            f"{report.name}: {report.read} read"
            + "".join(f", {count} {what}" for count, what in _lost(report) if count)
            for report in prepared.reports
        )
        fix = "raise data.max_length, or use another policy for what is too long or stands twice"
        raise DataError(f"no training example is left ({counts})", fix=fix)
    if items:
        held_out = [
            example
            for source in read
            if source.part == "eval"
            for example in source.content.examples
            if _is_chosen(example, speakers)
        ]
        room = prompt_window or data.max_length
        prepared.items, prepared.prompts_too_long = choose_items(encoder, held_out, items, room)
    return prepared


def _lost(report: SourceReport) -> list[tuple[int, str]]:
    return [
        (report.removed_copies, "removed as copies"),
        (report.excluded, "of other speakers"),
        (report.dropped, "dropped"),
    ]


def _speakers(read: Sequence[ReadSource], train_on: str | list[str]) -> set[str] | None:
    """The voices to learn; None is all of them. Raises DataError for one that never answers."""
    if isinstance(train_on, str):
        return None
    known = {example.scene.voice for source in read for example in source.content.examples if example.messages}
    wrong = [
        Problem(f"data.train_on names {shown(name)}, who answers nowhere", fix=name_hint(name, known - {""}))
        for name in train_on
        if name not in known
    ]
    if wrong or not train_on:
        raise DataError(wrong or "data.train_on is an empty list", fix="name a speaker, or write answers")
    return set(train_on)


def _is_chosen(example: RawExample, speakers: set[str] | None) -> bool:
    return speakers is None or not example.messages or example.scene.voice in speakers


def _encode_all(
    encoder: Encoder,
    raw: Sequence[RawExample],
    data: DataSection,
    part: str,
    report: SourceReport,
    left_out: dict[str, str],
) -> tuple[list[Encoded], list[Problem]]:
    if any(example.messages for example in raw) and (problem := encoder.template_problem()):
        return [], [problem]
    found: list[Encoded] = []
    problems: list[Problem] = []
    train_on = "all" if data.train_on == "all" else "answers"
    for example in raw:
        name = f"{report.name}#{example.id}"
        if example.messages:
            encoded = encoder.messages(name, example.messages, train_on, example.group, example.weight)
        else:
            encoded = [encoder.text(name, example.text, example.group, example.weight)]
        pieces = encoded if isinstance(encoded, Problem) else _fitting(encoded, example, data, part, report)
        if isinstance(pieces, Problem):
            problems.append(
                replace(pieces, message=f"{pieces.message} (example {shown(example.id)})", place=example.place)
            )
            continue
        if not pieces:
            left_out[name] = f"it is longer than data.max_length {data.max_length} (too_long: {data.too_long})"
        found += [replace(piece, slices=example.scene.slices) for piece in pieces]
    report.examples = len(found)
    report.tokens = sum(len(example.ids) for example in found)
    report.trained_tokens = sum(example.trained for example in found)
    return found, problems


def _fitting(
    encoded: list[Encoded], example: RawExample, data: DataSection, part: str, report: SourceReport
) -> list[Encoded] | Problem:
    """What was encoded, made to fit the window where it is trained on."""
    if part != "train":
        return encoded
    found: list[Encoded] = []
    for one in encoded:
        pieces = fit(one, bool(example.messages), data.max_length, data.too_long, report, data.train_on == "all")
        if isinstance(pieces, Problem):
            return pieces
        found += pieces
    return found
