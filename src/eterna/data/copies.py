"""Copies among the examples of a run, and what `data.duplicates`, `near_duplicates`, `leaks` and `near_leaks` make of
them: listed, refused, or taken out of training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from eterna.config import DataSection
from eterna.data.compared import WordArrays
from eterna.data.examples import RawExample
from eterna.data.prepare import ReadSource
from eterna.data.shared_runs import find_shared_runs
from eterna.data.twins import ON_DISK_ABOVE, exact_copies, near_pairs
from eterna.errors import DataError, Place, Problem
from eterna.text import plural

Kind = Literal["duplicate", "near duplicate", "leak", "near leak", "shared run", "split conversation"]
POLICIES: dict[Kind, str] = {
    "leak": "leaks",
    "near leak": "near_leaks",
    "shared run": "near_leaks",
    "split conversation": "near_leaks",
    "duplicate": "duplicates",
    "near duplicate": "near_duplicates",
}
COUNTED: dict[Kind, tuple[str, str]] = {
    "leak": ("exact duplicate", "between train and eval, so scores are flattered"),
    "near leak": ("near copy", "between train and eval, so scores are flattered"),
    "shared run": ("held-out example", "with a long run of words from train, so scores are flattered"),
    "split conversation": ("conversation", "in both train and eval, so scores are flattered"),
    "duplicate": ("exact duplicate", "inside train, seen more than once"),
    "near duplicate": ("near copy", "inside train, seen more than once"),
}
WORTH_A_NOTE = 0.01  # share of the training examples; fewer copies inside train change nothing that anybody measures


@dataclass(frozen=True)
class Copy:
    """Two examples with the same words, or nearly."""

    kind: Kind
    first: Place
    """In data.train. An example that stands in no file of its own has its id for a file."""
    second: Place
    """In data.eval, or in data.train for duplicates."""
    likeness: float | None = None
    """Of near copies: the share of their word pairs that they have in common."""
    words: int | None = None
    """Length of the longest shared run."""
    share: float | None = None
    """Of the held-out example's words, that the run covers."""

    def __str__(self) -> str:
        details = [f"{self.likeness:.0%} alike"] if self.likeness is not None else []
        details += [f"{self.words} words in a row, {self.share:.0%} of it"] if self.words is not None else []
        return f"{self.kind}: {self.first} = {self.second}" + (f" ({details[0]})" if details else "")

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        figures = {"likeness": self.likeness, "words": self.words, "share": self.share}
        return {"kind": self.kind, "first": str(self.first), "second": str(self.second), **figures}


@dataclass
class Copies:
    """All copies of a run, worst first, and the training examples that each kind would take out."""

    found: list[Copy] = field(default_factory=list)
    out: dict[Kind, set[int]] = field(default_factory=lambda: {kind: set() for kind in POLICIES})
    """Positions among the training examples, over all sources in their order."""
    train: int = 0
    """Training examples before any was taken out."""

    def lines(self) -> dict[Kind, str]:
        """How many copies of each kind, for people; kinds without any are left out."""
        counts = {kind: sum(copy.kind == kind for copy in self.found) for kind in POLICIES}
        return {
            kind: f"{_counted(count, COUNTED[kind][0])} {COUNTED[kind][1]}" for kind, count in counts.items() if count
        }

    def notes(self, data: DataSection) -> list[str]:
        """What a training plan says of them."""
        notes = []
        for kind, line in self.lines().items():
            policy, count = getattr(data, POLICIES[kind]), sum(copy.kind == kind for copy in self.found)
            if policy == "remove":
                notes.append(f"{line}: {plural(len(self.out[kind]), 'training example')} left out")
            elif "duplicate" not in kind or count > WORTH_A_NOTE * self.train:
                notes.append(f"{line} (listed by eterna data check)")
        return notes


def _counted(count: int, noun: str) -> str:
    return plural(count, noun) if count == 1 or noun != "near copy" else f"{count:,} near copies"


def settle_copies(
    read: Sequence[ReadSource], data: DataSection, on_disk_above: int = ON_DISK_ABOVE
) -> tuple[list[ReadSource], Copies]:
    """The sources without what the policies take out, and all copies found.

    Raises DataError naming both places of every copy whose policy is `error`.
    """
    copies = find_copies(read, on_disk_above)
    if refused := [copy for copy in copies.found if getattr(data, POLICIES[copy.kind]) == "error"]:
        raise DataError(map(_problem, refused))
    gone = {number for kind, out in copies.out.items() if getattr(data, POLICIES[kind]) == "remove" for number in out}
    kept: list[ReadSource] = []
    start = 0
    for source in read:
        examples = source.content.examples
        if source.part == "train":
            left = [example for number, example in enumerate(examples, start) if number not in gone]
            start += len(examples)
            content = replace(source.content, examples=left)
            source = replace(source, content=content, removed_copies=len(examples) - len(left))
        kept.append(source)
    return kept, copies


def _problem(copy: Copy) -> Problem:
    policy = POLICIES[copy.kind]
    remove = f"remove one of the two, or set data.{policy} to remove to leave such examples out of training"
    if "duplicate" in copy.kind:
        same = "says the same as" if copy.kind == "duplicate" else "says nearly the same as"
        return Problem(f"this training example {same} {copy.first}", copy.second, f"{remove}, or to warn")
    said = {
        "leak": "this held-out example is trained on, at",
        "near leak": "this held-out example is nearly the same as the training example at",
        "shared run": f"{copy.words} words in a row of this held-out example are trained on, at",
        "split conversation": "another part of this held-out conversation is trained on, at",
    }[copy.kind]
    return Problem(f"{said} {copy.first}", copy.second, f"{remove}, or to warn to score what is trained on")


def find_copies(read: Sequence[ReadSource], on_disk_above: int = ON_DISK_ABOVE) -> Copies:
    """All copies within data.train and between data.train and data.eval; needs no tokenizer."""
    train = [example for source in read if source.part == "train" for example in source.content.examples]
    held_out = [example for source in read if source.part == "eval" for example in source.content.examples]
    return _Search([*train, *held_out], len(train), on_disk_above).run()


class _Search:
    """One search. Examples are known by position, those of data.train first; copies by the first of their class."""

    def __init__(self, examples: Sequence[RawExample], train: int, on_disk_above: int) -> None:
        self.examples = examples
        self.on_disk_above = on_disk_above
        self.copies = Copies(train=train)
        self.listed: set[int] = set()
        self.words = WordArrays(examples)
        self.several = exact_copies(examples)
        later = {number for numbers in self.several.values() for number in numbers[1:]}
        self.names = [number for number in range(len(examples)) if number not in later]

    def run(self) -> Copies:
        self._exact()
        self._near()
        if len(self.examples) > self.copies.train:
            self._runs()
            self._conversations()
        worst = list(POLICIES)
        self.copies.found.sort(key=lambda copy: worst.index(copy.kind))
        return self.copies

    def _exact(self) -> None:
        for name in self.several:
            trained, held = self._trained(name), self._held(name)
            for number in trained[1:]:
                self._list("duplicate", trained[0], number)
            self.copies.out["duplicate"].update(trained[1:])
            for number in held if trained else ():
                self._list("leak", trained[0], number)
            self.copies.out["leak"].update(trained if held else ())

    def _near(self) -> None:
        pairs = near_pairs(self.words, self.names, self.copies.train, self.on_disk_above)
        out = self.copies.out
        for pair in sorted(pairs, key=lambda pair: (pair.second, -pair.likeness, pair.first)):
            first, second = pair.first, pair.second
            if self.examples[first].origin and self.examples[first].origin == self.examples[second].origin:
                continue
            trained, held = self._trained(second), self._held(second)
            if trained:
                self._list("near duplicate", first, second, likeness=pair.likeness)
                if first not in out["near duplicate"]:
                    out["near duplicate"].update(trained)
            for number in held:
                self._list("near leak", first, number, likeness=pair.likeness)
            out["near leak"].update(self._trained(first) if held else ())
            out["near leak"].update(trained if self._held(first) else ())

    def _runs(self) -> None:
        trained = [name for name in self.names if name < self.copies.train]
        held = [numbers[0] for name in self.names if (numbers := self._held(name))]
        runs = find_shared_runs(self.words, trained, held)
        for run in runs.longest.values():
            self._list("shared run", run.train, run.held_out, words=run.words, share=run.share)
        self.copies.out["shared run"].update(number for name in runs.train for number in self._trained(name))

    def _conversations(self) -> None:
        train = self.copies.train
        trained = _by_conversation(self.examples, range(train))
        for name, numbers in _by_conversation(self.examples, range(train, len(self.examples))).items():
            if name in trained:
                new = [number for number in numbers if number not in self.listed]
                self._list("split conversation", trained[name][0], (new or numbers)[0])
                self.copies.out["split conversation"].update(trained[name])

    def _trained(self, name: int) -> list[int]:
        return [number for number in self.several.get(name, [name]) if number < self.copies.train]

    def _held(self, name: int) -> list[int]:
        return [number for number in self.several.get(name, [name]) if number >= self.copies.train]

    def _list(self, kind: Kind, first: int, second: int, **figures: Any) -> None:
        """Each example is listed once, by the worst that can be said of it."""
        if second not in self.listed:
            self.listed.add(second)
            self.copies.found.append(Copy(kind, self._place(first), self._place(second), **figures))

    def _place(self, number: int) -> Place:
        return self.examples[number].place or Place(self.examples[number].id)


def _by_conversation(examples: Sequence[RawExample], numbers: Iterable[int]) -> dict[str, list[int]]:
    """Positions by conversation, where somebody said which one it is: a group that only repeats the example's own id
    says nothing, and chapters of one book on both sides are usual."""
    found: dict[str, list[int]] = {}
    for number in numbers:
        example = examples[number]
        if example.messages and example.group not in ("", example.id, example.title, example.id.rpartition("/")[2]):
            found.setdefault(example.group, []).append(number)
    return found
