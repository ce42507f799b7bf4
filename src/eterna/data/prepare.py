"""All sources of a run to encoded examples, with a count of everything that was cut or dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from eterna.config import DataSection
from eterna.data.encoding import Encoded, Encoder
from eterna.data.examples import RawExample
from eterna.data.items import Item, choose_items
from eterna.data.rendering import suit_template
from eterna.data.sources import SourceContent, read_source, source_name
from eterna.errors import DataError, Problem
from eterna.text import name_hint, plural, shown
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
    dropped_tokens: int = 0
    """What they hold."""
    cut: int = 0
    """Tokens cut off the left (too_long: cut_left)."""
    excluded: int = 0
    """Examples left out because their speaker is not in data.train_on."""
    skipped: int = 0
    """Rows left out because they cannot be used (skip_bad)."""
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
    notes: list[str] = field(default_factory=list)
    """What was arranged to suit the chat template, one line each."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Example id to why the model does not see it."""

    def record(self, chat_template: str | None) -> dict[str, Any]:
        """Plain values for data.json."""
        return {"sources": [asdict(report) for report in self.reports], "template": chat_template}


SPLITS: dict[str, Split] = {"train": "train", "eval": "validation"}


@dataclass(frozen=True)
class ReadSource:
    """One source as it was read, before anything is tokenized."""

    part: str
    name: str
    weight: float
    content: SourceContent

    def skipped_rows(self) -> list[dict[str, Any]]:
        """The rows left out, as lines of skipped.jsonl."""
        return [{"part": self.part, "source": self.name, **row.record()} for row in self.content.skipped]


def read_sources(data: DataSection, world: World | None, parts: Sequence[str] = ("train", "eval")) -> list[ReadSource]:
    """Read all sources of `parts`; needs no model. Raises DataError listing every problem of a source."""
    found: list[ReadSource] = []
    for part in parts:
        for source in getattr(data, part):
            name = source_name(source, SPLITS[part])
            if any((one.part, one.name) == (part, name) for one in found):
                raise DataError(f"the source {name} stands twice in data.{part}", fix="use weight: 2")
            content = read_source(source, data.columns, world, SPLITS[part], data.skip_bad)
            found.append(ReadSource(part, name, source.weight, content))
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
    encoder = Encoder(tokenizer)
    problems: list[Problem] = []
    speakers = _speakers(read, data.train_on)
    for source in read:
        content = source.content
        report = SourceReport(source.part, source.name, content.sha256, source.weight, read=len(content.examples))
        report.commit, report.skipped = content.commit, len(content.skipped)
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
            f"{report.name}: {report.read} read, {report.excluded} of other speakers, {report.dropped} dropped"
            for report in prepared.reports
        )
        fix = "raise data.max_length, or use another too_long policy"
        raise DataError(f"no training example is left ({counts})", fix=fix)
    if items:
        held_out = [
            example
            for source in read
            if source.part == "eval"
            for example in source.content.examples
            if _is_chosen(example, speakers)
        ]
        prepared.items = choose_items(encoder, held_out, items, prompt_window or data.max_length)
    return prepared


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


def fit(
    example: Encoded, is_chat: bool, window: int, policy: str, report: SourceReport, whole: bool = False
) -> list[Encoded] | Problem:
    """Make a training example fit the window by the chosen policy, counting what was lost in `report`.

    whole: every token of a conversation is trained, so that there is no answer to keep whole.
    """
    length = len(example.ids)
    if length <= window:
        return [example]
    if policy == "drop":
        report.dropped += 1
        report.dropped_tokens += length
        return []
    if policy == "split" and not is_chat:
        return _windows(example, window)
    if policy == "cut_left":
        lost = length - window
        kept = replace(example, ids=example.ids[lost:], weights=(0.0, *example.weights[lost + 1 :]), cut=lost)
        if is_chat and not whole and not _starts_in_context(example, lost):
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
