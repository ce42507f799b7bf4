"""Nothing is cut or dropped in silence."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from eterna.config import DataSection, Source
from eterna.data import Encoded, Encoder, prepare_data, read_sources
from eterna.data.fitting import SourceReport, fit
from eterna.errors import DataError, Problem
from eterna.world import find_world, load_world


def report() -> SourceReport:
    return SourceReport("train", "x", "0", 1.0)


def chat_example(prompt: int, answer: int) -> Encoded:
    length = prompt + answer
    return Encoded("x", tuple(range(length)), (0.0,) * prompt + (1.0,) * answer, 1)


def test_an_example_that_fits_is_left_alone() -> None:
    example = chat_example(5, 5)
    assert fit(example, True, 10, "error", report()) == [example]


def test_too_long_is_an_error_by_default() -> None:
    problem = fit(chat_example(8, 8), True, 10, "error", report())
    assert isinstance(problem, Problem)
    assert "16 tokens do not fit data.max_length 10" in problem.message


def test_drop_counts_what_it_drops() -> None:
    counted = report()
    assert fit(chat_example(8, 8), True, 10, "drop", counted) == []
    assert counted.dropped == 1


def test_cut_left_keeps_the_answer_whole_and_counts_tokens() -> None:
    counted = report()
    pieces = fit(chat_example(8, 8), True, 10, "cut_left", counted)
    assert isinstance(pieces, list)
    assert pieces[0].ids == tuple(range(6, 16))
    assert pieces[0].trained == 8
    assert counted.cut == 6


def test_cut_left_never_cuts_into_the_last_answer() -> None:
    assert isinstance(fit(chat_example(4, 12), True, 10, "cut_left", report()), Problem)


def test_conversations_are_not_split() -> None:
    assert isinstance(fit(chat_example(8, 8), True, 10, "split", report()), Problem)


@pytest.mark.parametrize("length", [11, 19, 20, 28, 100])
def test_split_trains_each_token_exactly_once(length: int) -> None:
    text = Encoded("x", tuple(range(length)), (0.0, *[1.0] * (length - 1)), 1)
    pieces = fit(text, False, 10, "split", report())
    assert isinstance(pieces, list)
    trained = [i for piece in pieces for i, weight in zip(piece.ids, piece.weights, strict=True) if weight]
    assert trained == list(range(1, length))
    assert all(len(piece.ids) <= 10 for piece in pieces)
    assert len({piece.id for piece in pieces}) == len(pieces)


def test_every_answer_of_the_shipped_world_ends_in_a_trained_stop_token(tiny_tokenizer: Any) -> None:
    world = load_world(find_world("eterna:biblioteca"))
    data = DataSection(train=[Source(world="examples")], max_length=4096)
    prepared = prepare_data(read_sources(data, world), data, tiny_tokenizer)
    answers = sum(  # turns of one voice that follow each other are one answer
        speaker == voice
        for example in world.examples
        if example.split == "train"
        for voice in example.voices()
        for speaker, _ in groupby(turn.speaker for turn in example.turns)
    )
    stop = tiny_tokenizer.eos_token_id
    stops = sum(
        weight > 0 and token == stop
        for example in prepared.train
        for token, weight in zip(example.ids, example.weights, strict=True)
    )
    assert stops == answers > 100


def test_training_and_validation_share_no_conversation(tiny_tokenizer: Any) -> None:
    world = load_world(find_world("eterna:biblioteca"))
    data = DataSection(train=[Source(world="examples")], eval=[Source(world="examples")], max_length=4096)
    prepared = prepare_data(read_sources(data, world), data, tiny_tokenizer)
    assert {example.ids for example in prepared.train}.isdisjoint(example.ids for example in prepared.eval)


def test_probes_hear_every_voice_and_do_not_hold_the_answer(tiny_tokenizer: Any) -> None:
    world = load_world(find_world("eterna:biblioteca"))
    data = DataSection(train=[Source(world="examples")], eval=[Source(world="examples")], max_length=4096)
    prepared = prepare_data(read_sources(data, world), data, tiny_tokenizer, items=40)
    assert {probe.title.partition(" · ")[0] for probe in prepared.items} >= {npc.name for npc in world.npcs.values()}
    for probe in prepared.items:
        assert probe.messages[-1]["role"] == "user"
        assert probe.reference not in Encoder(tiny_tokenizer).render(probe.messages)


def test_a_source_named_twice_is_refused(chat_file: Path) -> None:
    source = {"path": str(chat_file)}
    with pytest.raises(DataError, match="stands twice"):
        read_sources(DataSection(train=[source, source]), None)  # type: ignore[list-item]


def test_nothing_left_to_train_on_is_an_error_with_counts(tiny_tokenizer: Any, chat_file: Path) -> None:
    data = DataSection(train=[Source(path=str(chat_file))], max_length=8, too_long="drop")
    with pytest.raises(DataError, match="12 read, 12 dropped"):
        prepare_data(read_sources(data, None), data, tiny_tokenizer)
