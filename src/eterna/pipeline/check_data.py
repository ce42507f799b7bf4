"""`eterna data check`: what the model will see, counted on the examples that training itself would get."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from eterna.config import LoadedConfig
from eterna.data import Encoded, Encoder, PreparedData, SourceReport, prepare_data, read_sources
from eterna.data.file_notes import file_notes
from eterna.data.openings import check_openings
from eterna.models import load_tokenizer
from eterna.pipeline.plan import check_vocabulary, load_shape
from eterna.pipeline.quiet import quiet_libraries
from eterna.text import plural
from eterna.world import find_world, load_world

BARS = 8  # rows of the histogram up to the window


@dataclass(frozen=True)
class RunData:
    """The examples of a run file, and where each one stands in its file."""

    tokenizer: Any
    prepared: PreparedData
    places: dict[str, str]
    """Example id to `file:line`; the id itself where an example stands in no file of its own."""
    notes: list[str]

    def place_of(self, example: Encoded) -> str:
        """Where an example comes from; a window of a longer text says which one it is."""
        if example.id in self.places:
            return self.places[example.id]
        whole, _, window = example.id.rpartition("~")
        return f"{self.places[whole]} (window {window})"


@dataclass(frozen=True)
class SourceCheck:
    """One source: what training's own report says of it, and how its answers end."""

    report: SourceReport
    answers: int
    """Runs of trained tokens."""
    stopped: int | None
    """How many of them end in a special token; None where everything is trained (train_on: all)."""


@dataclass(frozen=True)
class Bar:
    """Examples with `low` to `high` tokens; `high` None is everything past the window."""

    low: int
    high: int | None
    train: int
    eval: int


@dataclass(frozen=True)
class Duplicate:
    """Two examples with the same tokens."""

    kind: str
    """`inside train`, or `train and eval`."""
    first: str
    second: str


@dataclass(frozen=True)
class DataCheck:
    """What `eterna data check` found."""

    window: int
    sources: list[SourceCheck]
    lengths: list[Bar]
    duplicates: list[Duplicate]
    notes: list[str]

    @property
    def warnings(self) -> list[str]:
        """What a person should look at, one line each."""
        reports = [source.report for source in self.sources]
        found = [f"{one.name}: {plural(one.dropped, 'example')} dropped" for one in reports if one.dropped]
        found += [f"{one.name}: {plural(one.cut, 'token')} cut off the left" for one in reports if one.cut]
        if not any(report.part == "eval" for report in reports):
            found.append("no held-out data (data.eval): nothing will be measured")
        for kind, meaning in (("train and eval", "so scores are flattered"), ("inside train", "seen more than once")):
            if count := sum(one.kind == kind for one in self.duplicates):
                found.append(f"{plural(count, 'exact duplicate')} {_BETWEEN[kind]}, {meaning}")
        return found

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        sources = [
            asdict(source.report) | {"answers": source.answers, "stopped": source.stopped} for source in self.sources
        ]
        lists = {name: [asdict(one) for one in getattr(self, name)] for name in ("lengths", "duplicates")}
        return {"window": self.window, "sources": sources, **lists, "notes": self.notes, "warnings": self.warnings}


_BETWEEN = {"train and eval": "between train and eval", "inside train": "inside train"}


def load_run_data(loaded: LoadedConfig) -> RunData:
    """Read and encode the data of a run file as training does; no weights are loaded. Raises UserError."""
    quiet_libraries()
    config = loaded.config
    world = load_world(find_world(config.world)) if config.world else None
    read = read_sources(config.data, world)
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
    return RunData(tokenizer, prepared, places, [*loaded.notes, *file_notes(config.data), *notes])


def check_data(loaded: LoadedConfig) -> DataCheck:
    """Count what the model will see. Raises UserError for data that training would refuse."""
    data, section = load_run_data(loaded), loaded.config.data
    specials = Encoder(data.tokenizer).specials
    sources = []
    for report, examples in _by_source(data.prepared):
        ends = [example.ids[end] in specials for example in examples for end in answer_ends(example.weights)]
        sources.append(SourceCheck(report, len(ends), None if section.train_on == "all" else sum(ends)))
    lengths = count_lengths(data.prepared, section.max_length)
    return DataCheck(section.max_length, sources, lengths, list(find_duplicates(data)), data.notes)


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


def find_duplicates(data: RunData) -> Iterator[Duplicate]:
    """Examples with the same token ids: within train, and of eval in train."""
    first: dict[tuple[int, ...], Encoded] = {}
    for example in data.prepared.train:
        if (same := first.setdefault(example.ids, example)) is not example:
            yield Duplicate("inside train", data.place_of(same), data.place_of(example))
    for example in data.prepared.eval:
        if example.ids in first:
            yield Duplicate("train and eval", data.place_of(first[example.ids]), data.place_of(example))
