"""`eterna data check`: what the model will see, counted on the examples that training itself would get."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from eterna.config import LoadedConfig
from eterna.data import Copies, Copy, Encoded, Encoder, PreparedData, SourceReport, gather_sources, prepare_data
from eterna.data.file_notes import file_notes
from eterna.data.openings import check_openings
from eterna.models import load_tokenizer
from eterna.pipeline.inputs import read_world
from eterna.pipeline.libraries import load_libraries
from eterna.pipeline.plan import check_vocabulary, load_shape
from eterna.text import plural

BARS = 8  # rows of the histogram up to the window
READ_TOKENS = 256  # of an example, to tell its language


@dataclass(frozen=True)
class RunData:
    """The examples of a run file, and where each one stands in its file."""

    tokenizer: Any
    prepared: PreparedData
    places: dict[str, str]
    """Example id to `file:line`; the id itself where an example stands in no file of its own."""
    copies: Copies
    notes: list[str]

    def place_of(self, example: Encoded) -> str:
        """Where an example comes from; a window of a longer text says which one it is."""
        if example.id in self.places:
            return self.places[example.id]
        for mark, part in (("~", "window"), ("@", "answer at message")):
            whole, _, number = example.id.rpartition(mark)
            if whole in self.places:
                return f"{self.places[whole]} ({part} {number})"
        return example.id


@dataclass(frozen=True)
class SourceCheck:
    """One source: what training's own report says of it, and how its answers end."""

    report: SourceReport
    answers: int
    """Runs of trained tokens."""
    stopped: int | None
    """How many of them end in a special token; None where everything is trained (train_on: all)."""

    def filters(self, too_long: str) -> str:
        """What became of the source's rows, filter by filter."""
        one = self.report
        lost = [
            (one.skipped, "left out as unusable (skip_bad)"),
            (one.removed_copies, "removed as copies"),
            (one.excluded, "of other speakers (train_on)"),
        ]
        told = [f"{count:,} {what}" for count, what in lost if count]
        if one.dropped:
            told.append(f"{one.dropped:,} dropped with {plural(one.dropped_tokens, 'token')} (too_long: drop)")
        if one.cut:
            told.append(f"{plural(one.cut, 'token')} cut off the left (too_long: cut_left)")
        left = one.read - one.removed_copies - one.excluded - one.dropped
        if one.examples != left:
            why = f"too_long: {too_long}" if too_long == "split" else "the template rewrites earlier turns"
            told.append(f"{left:,} become {plural(one.examples, 'example')} ({why})")
        return f"{one.name}: {one.read:,} read" + "".join(f", {part}" for part in told)


@dataclass(frozen=True)
class Bar:
    """Examples with `low` to `high` tokens; `high` None is everything past the window."""

    low: int
    high: int | None
    train: int
    eval: int


@dataclass(frozen=True)
class Kind:
    """Examples that a speaker answers, or that are in a language."""

    name: str
    train: int
    trained_tokens: int
    """Of data.train."""
    eval: int


@dataclass(frozen=True)
class DataCheck:
    """What `eterna data check` found."""

    window: int
    too_long: str
    speakers: list[Kind]
    languages: list[Kind]
    """As the data say, else as they read."""
    sources: list[SourceCheck]
    lengths: list[Bar]
    copies: list[Copy]
    copy_lines: list[str]
    """How many of each kind."""
    notes: list[str]

    @property
    def warnings(self) -> list[str]:
        """What a person should look at, one line each."""
        reports = [source.report for source in self.sources]
        found = [
            f"{source.report.name}: {plural(source.answers - source.stopped, 'answer')} without a trained stop token"
            for source in self.sources
            if source.stopped is not None and source.stopped < source.answers
        ]
        found += [f"{one.name}: {plural(one.dropped, 'example')} dropped" for one in reports if one.dropped]
        found += [f"{one.name}: {plural(one.cut, 'token')} cut off the left" for one in reports if one.cut]
        found += [
            f"{one.name}: {plural(one.skipped, 'row')} skipped; data.skip_bad: false lists them"
            for one in reports
            if one.skipped
        ]
        removed = [(one.name, plural(one.removed_copies, "example")) for one in reports if one.removed_copies]
        found += [f"{name}: {count} removed as copies" for name, count in removed]
        if not any(report.part == "eval" for report in reports):
            found.append("no held-out data (data.eval): nothing will be measured")
        return [*found, *self.copy_lines]

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        sources = [
            asdict(source.report) | {"answers": source.answers, "stopped": source.stopped} for source in self.sources
        ]
        lists = {name: [asdict(one) for one in getattr(self, name)] for name in ("lengths", "speakers", "languages")}
        lists["copies"] = [one.record() for one in self.copies]
        told = {"notes": self.notes, "warnings": self.warnings}
        return {"window": self.window, "too_long": self.too_long, "sources": sources, **lists, **told}


def load_run_data(loaded: LoadedConfig) -> RunData:
    """Read and encode the data of a run file as training does; no weights are loaded. Raises UserError."""
    load_libraries()
    config = loaded.config
    read, copies = gather_sources(config.data, config.training.seed, read_world(config))
    shape = load_shape(config)
    tokenizer, notes = load_tokenizer(config.model)
    check_vocabulary(config, shape, tokenizer)
    prepared = prepare_data(read, config.data, tokenizer)
    check_openings(prepared.train, tokenizer)
    places = {
        f"{source.name}#{example.id}": str(example.place or example.id)
        for source in read
        for example in source.content.examples
    }
    told = [*loaded.notes, *file_notes(config.data), *notes, *prepared.notes]
    return RunData(tokenizer, prepared, places, copies, told)


def check_data(loaded: LoadedConfig) -> DataCheck:
    """Count what the model will see. Raises UserError for data that training would refuse."""
    data, section = load_run_data(loaded), loaded.config.data
    specials = Encoder(data.tokenizer).specials
    sources = []
    for report, examples in _by_source(data.prepared):
        ends = [example.ids[end] in specials for example in examples for end in answer_ends(example.weights)]
        sources.append(SourceCheck(report, len(ends), None if section.train_on == "all" else sum(ends)))
    return DataCheck(
        section.max_length,
        section.too_long,
        count_kinds(data.prepared, "voice"),
        count_kinds(data.prepared, "language", lambda example: read_language(data.tokenizer, example)),
        sources,
        count_lengths(data.prepared, section.max_length),
        data.copies.found,
        list(data.copies.lines().values()),
        data.notes,
    )


def count_kinds(prepared: PreparedData, what: str, otherwise: Callable[[Encoded], str] | None = None) -> list[Kind]:
    """Examples by what they say of themselves (`voice`, `language`), most trained tokens first.

    otherwise: names what an example that says nothing is; without it, such examples are left out.
    """
    found: dict[str, list[int]] = {}
    for place, examples in enumerate((prepared.train, prepared.eval)):
        for example in examples:
            said = next((name for one in example.slices if (name := one.removeprefix(f"{what}: ")) != one), "")
            name = said or (otherwise(example) if otherwise else "")
            if name:
                counts = found.setdefault(name, [0, 0, 0])
                counts[2 * place] += 1
                counts[1] += example.trained if place == 0 else 0
    return sorted((Kind(name, *counts) for name, counts in found.items()), key=lambda kind: -kind.trained_tokens)


def read_language(tokenizer: Any, example: Encoded) -> str:
    """The language that an example's first tokens read like."""
    from eterna.evaluation import language_of

    return language_of(tokenizer.decode(example.ids[:READ_TOKENS], skip_special_tokens=True)) or "unknown"


def _by_source(prepared: PreparedData) -> Iterator[tuple[SourceReport, list[Encoded]]]:
    """Each source's report with its examples: both lists are in the order of the reports."""
    queues = {"train": iter(prepared.train), "eval": iter(prepared.eval)}
    for report in prepared.reports:
        yield report, [next(queues[report.part]) for _ in range(report.examples)]


def answer_ends(weights: Sequence[float]) -> list[int]:
    """Positions of the last token of each run of trained tokens."""
    return [
        index
        for index, weight in enumerate(weights)
        if weight > 0 and (index + 1 == len(weights) or weights[index + 1] == 0)
    ]


def count_lengths(prepared: PreparedData, window: int) -> list[Bar]:
    """A histogram of lengths in tokens, in equal steps up to the window, one row for what is past it."""
    edges = sorted({round(window * step / BARS) for step in range(BARS + 1)})
    rows: list[tuple[int, int | None]] = [(low + 1, high) for low, high in pairwise(edges)]
    return [
        Bar(low, high, _within(prepared.train, low, high), _within(prepared.eval, low, high))
        for low, high in [*rows, (window + 1, None)]
    ]


def _within(examples: Collection[Encoded], low: int, high: int | None) -> int:
    return sum(low <= len(example.ids) and (high is None or len(example.ids) <= high) for example in examples)
