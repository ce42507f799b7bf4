"""Copies are listed with both places, refused or taken out of training, as the policies say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eterna.config import DataSection
from eterna.data import Copies, ReadSource, gather_again, gather_sources, prepare_data, read_sources
from eterna.data.copies import settle_copies
from eterna.errors import DataError
from eterna.world import find_world, load_world

LAMPS = "Abel lights one hundred and forty lamps before supper, and the rest of them after he has eaten his bread."
LAMPS_CHANGED = (
    "Abel lights one hundred and fifty lamps before supper, and the rest of them after he has drunk his milk."
)
STAIR = "The stair does not end anywhere; it only turns, and each of its turns is a landing with a door of its own."
MAPS = "Whoever borrows a map of the sea brings it back with another coast, and nobody in the archive is surprised."
BOOK = (
    f"In the first night nobody spoke. {STAIR} In the second night the doors were counted, and one was missing. In the"
    " third the librarian wrote its number down, turned the page, and found the same number written there by herself."
)

Write = Callable[..., DataSection]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Two files of rows as a data section; a plain string is a row of text."""

    def section(train: list[Any], held_out: list[Any], **policies: Any) -> DataSection:
        data: dict[str, Any] = {"train": [], "eval": []}
        for part, rows in (("train", train), ("eval", held_out)):
            lines = [json.dumps(row if isinstance(row, dict) else {"text": row}) + "\n" for row in rows]
            (tmp_path / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
            data[part] = [{"path": str(tmp_path / f"{part}.jsonl")}] if rows else []
        return DataSection(**data, **policies)

    return section


def settled(data: DataSection) -> tuple[list[ReadSource], Copies]:
    return settle_copies(read_sources(data, None), data)


def listed(copies: Copies) -> list[tuple[str, str, str]]:
    return [(copy.kind, Path(str(copy.first)).name, Path(str(copy.second)).name) for copy in copies.found]


def lines_left(read: list[ReadSource], part: str = "train") -> list[int | None]:
    sources = [source for source in read if source.part == part]
    return [example.place.line for source in sources for example in source.content.examples if example.place]


def chat(question: str, answer: str, group: str) -> dict[str, Any]:
    return {"prompt": question, "completion": answer, "group": group}


def test_each_kind_is_listed_with_both_places(write: Write) -> None:
    data = write(
        [LAMPS, MAPS, MAPS, LAMPS_CHANGED, BOOK, chat("Who?", "Ines.", "talk-1")],
        [MAPS.upper(), STAIR, chat("Where?", "Here.", "talk-1")],
        leaks="warn",
    )
    read, copies = settled(data)
    assert listed(copies) == [
        ("leak", "train.jsonl:2", "eval.jsonl:1"),
        ("shared run", "train.jsonl:5", "eval.jsonl:2"),
        ("split conversation", "train.jsonl:6", "eval.jsonl:3"),
        ("duplicate", "train.jsonl:2", "train.jsonl:3"),
        ("near duplicate", "train.jsonl:1", "train.jsonl:4"),
    ]
    assert lines_left(read) == [1, 2, 3, 4, 5, 6]


def test_a_near_copy_tells_how_alike_and_a_run_how_long_it_is(write: Write) -> None:
    near, run = settled(write([LAMPS, BOOK], [LAMPS_CHANGED, STAIR]))[1].found
    assert near.likeness is not None
    assert 0.5 <= near.likeness < 1
    assert str(near).endswith(f"({near.likeness:.0%} alike)")
    assert (run.words, run.share) == (len(STAIR.split()), 1.0)
    assert str(run).endswith(f"({run.words} words in a row, 100% of it)")
    assert json.dumps(run.record())


def test_leaks_are_refused_by_default_with_both_places_and_the_way_out(write: Write) -> None:
    with pytest.raises(DataError) as caught:
        settled(write([LAMPS, MAPS], [MAPS]))
    assert "eval.jsonl:1: this held-out example is trained on, at " in str(caught.value)
    assert "train.jsonl:2" in str(caught.value)
    assert "data.leaks to remove" in str(caught.value)


def test_twenty_refusals_are_listed_and_the_rest_counted(write: Write) -> None:
    rows = [f"{MAPS} {number}" for number in range(25)]
    with pytest.raises(DataError) as caught:
        settled(write(rows, rows))
    assert str(caught.value).count("this held-out example is trained on") == 20
    assert "and 5 more problems" in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "train", "held_out"),
    [
        ("duplicates", [MAPS, MAPS], [STAIR]),
        ("near_duplicates", [LAMPS, LAMPS_CHANGED], [STAIR]),
        ("near_leaks", [LAMPS], [LAMPS_CHANGED]),
        ("near_leaks", [BOOK], [STAIR]),
        ("near_leaks", [chat("Who?", "Ines.", "g")], [chat("Where?", "Here.", "g")]),
    ],
)
def test_each_policy_can_refuse_and_can_warn(policy: str, train: list[Any], held_out: list[Any], write: Write) -> None:
    assert settled(write(train, held_out))[1].found
    with pytest.raises(DataError, match=f"data.{policy} to remove"):
        settled(write(train, held_out, **{policy: "error"}))


def test_removing_keeps_the_first_of_the_copies(write: Write) -> None:
    data = write([LAMPS, MAPS, LAMPS_CHANGED, MAPS, LAMPS], [STAIR], duplicates="remove", near_duplicates="remove")
    assert lines_left(settled(data)[0]) == [1, 2]


def test_an_exact_copy_of_a_near_copy_goes_with_it(write: Write) -> None:
    data = write([LAMPS, LAMPS_CHANGED, LAMPS_CHANGED], [], near_duplicates="remove")
    assert lines_left(settled(data)[0]) == [1]


def test_a_copy_of_what_was_removed_is_kept(write: Write) -> None:
    words = [f"w{number}" for number in range(100)]
    chain = [" ".join(words[start : start + 40]) for start in (0, 13, 26)]  # each is near its neighbour only
    data = write(chain, [], near_duplicates="remove")
    assert lines_left(settled(data)[0]) == [1, 3]


def test_removing_leaks_takes_every_copy_out_of_training_and_none_out_of_evaluation(write: Write) -> None:
    train = [MAPS, LAMPS, MAPS, BOOK, chat("Who?", "Ines.", "g"), "Nothing that is said here is said twice."]
    held_out = [MAPS, LAMPS_CHANGED, STAIR, chat("Where?", "Here.", "g")]
    exact = settled(write(train, held_out, leaks="remove"))[0]
    assert lines_left(exact) == [2, 4, 5, 6]
    read = settled(write(train, held_out, leaks="remove", near_leaks="remove"))[0]
    assert lines_left(read) == [6]
    assert lines_left(read, "eval") == [1, 2, 3, 4]


def test_a_near_leak_hidden_behind_an_exact_leak_is_removed_too(write: Write) -> None:
    data = write([LAMPS, LAMPS_CHANGED, MAPS], [LAMPS], leaks="remove", near_leaks="remove")
    assert lines_left(settled(data)[0]) == [3]


def test_what_was_removed_is_counted_in_the_report(write: Write, tiny_tokenizer: Any) -> None:
    data = write([MAPS, LAMPS, MAPS], [STAIR], duplicates="remove")
    prepared = prepare_data(settled(data)[0], data, tiny_tokenizer)
    train, held = prepared.reports
    assert (train.read, train.removed_copies, train.examples) == (3, 1, 2)
    assert (held.read, held.removed_copies) == (1, 0)
    assert prepared.record(None)["sources"][0]["removed_copies"] == 1


def test_where_all_was_removed_the_error_counts_it(write: Write, tiny_tokenizer: Any) -> None:
    data = write([MAPS], [MAPS], leaks="remove")
    with pytest.raises(DataError, match="1 read, 1 removed as copies"):
        prepare_data(settled(data)[0], data, tiny_tokenizer)


def test_a_plan_notes_leaks_always_and_copies_inside_train_past_one_in_a_hundred(write: Write) -> None:
    data = write([MAPS, MAPS, LAMPS], [MAPS], leaks="warn")
    assert settled(data)[1].notes(data) == [
        "1 exact duplicate between train and eval, so scores are flattered (listed by eterna data check)",
        "1 exact duplicate inside train, seen more than once (listed by eterna data check)",
    ]
    rows = [f"number {number}" for number in range(100)]
    data = write([*rows, "number 1"], ["nothing"])
    assert listed(settled(data)[1])
    assert settled(data)[1].notes(data) == []
    data = write([*rows, "number 1"], ["nothing"], duplicates="remove")
    assert settled(data)[1].notes(data) == [
        "1 exact duplicate inside train, seen more than once: 1 training example left out"
    ]


def test_chapters_of_one_book_and_rows_numbered_alike_are_no_split_conversation(write: Write) -> None:
    train = [{"text": LAMPS, "group": "book"}, {"id": 1, "prompt": "Who?", "completion": "Ines."}]
    held_out = [{"text": MAPS, "group": "book"}, {"id": 1, "prompt": "Where?", "completion": "Here."}]
    assert settled(write(train, held_out))[1].found == []


def test_a_quotation_inside_a_longer_example_is_no_leak(write: Write) -> None:
    said = "the seas are counted each morning by whoever wakes first in the house of maps"
    train = [f"{LAMPS} As the archivist said, {said}."]
    held_out = [f"{MAPS} {STAIR[::-1]} And yet {said}. {BOOK[::-1]}"]
    assert settled(write(train, held_out))[1].found == []


def test_a_long_passage_is_a_leak_however_long_the_example(write: Write) -> None:
    words = [f"word{number}" for number in range(400)]
    passage = " ".join(f"passage{number}" for number in range(60))
    data = write([f"{' '.join(words[:200])} {passage}"], [f"{passage} {' '.join(words[200:])}"])
    (copy,) = settled(data)[1].found
    assert (copy.kind, copy.words) == ("shared run", 60)


def test_runs_do_not_go_on_into_the_next_example(write: Write) -> None:
    half, rest = " ".join(BOOK.split()[:9]), " ".join(BOOK.split()[9:18])
    assert settled(write([half, rest], [f"{half} {rest}"]))[1].lines().keys() <= {"near leak"}
    assert "shared run" in settled(write([f"{half} {rest} {MAPS} {LAMPS}"], [f"{half} {rest}"]))[1].lines()


def test_the_shipped_world_leaks_nothing() -> None:
    world = load_world(find_world("eterna:biblioteca"))
    held_out = [{"world": "examples"}, {"world": "examples", "split": "test"}]
    data = DataSection(train=[{"world": "examples"}, {"world": "books"}], eval=held_out)  # type: ignore[list-item]
    assert gather_sources(data, 0, world)[1].found == []


def test_a_trained_run_is_gathered_again_without_refusals(write: Write) -> None:
    data = write([MAPS, LAMPS, MAPS], [MAPS], duplicates="remove")
    with pytest.raises(DataError):
        gather_sources(data, 0, None)
    assert lines_left(gather_again(data, 0, None)) == [1, 2]
    assert lines_left(gather_again(write([MAPS, MAPS], [MAPS]), 0, None)) == [1, 2]
