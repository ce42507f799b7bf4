"""La Biblioteca Eterna, as it is shipped: how much there is, nothing said twice, nothing told too early."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from eterna.world import World, load_world
from eterna.world.loading import find_world
from eterna.world.schema import NARRATOR, PLAYER, Example

RUN = 12


@pytest.fixture(scope="module")
def world() -> World:
    return load_world(find_world("eterna:biblioteca"))


def answers(example: Example) -> Iterator[str]:
    """What NPCs, books and places say."""
    return (turn.text for turn in example.turns if turn.speaker not in (PLAYER, NARRATOR))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def runs(text: str, length: int = RUN) -> set[tuple[str, ...]]:
    """Every run of so many words."""
    said = words(text)
    return {tuple(said[at : at + length]) for at in range(len(said) - length + 1)}


def test_there_is_enough_of_everything(world: World) -> None:
    assert len(world.books) >= 12
    assert min(len(words(book.text)) for book in world.books.values()) >= 2000
    assert len({book.form for book in world.books.values()}) >= 12
    assert len(world.npcs) >= 10
    assert len(world.places) >= 12
    assert len(world.revelaciones) >= 24
    assert len(world.examples) >= 800
    assert sum(example.language == "es" for example in world.examples) >= 0.15 * len(world.examples)
    assert all(place.light and place.sound and place.rules for place in world.places.values())


def test_every_npc_speaks_often_in_several_turns_and_before_others(world: World) -> None:
    exchanges, several, crowded = Counter[str](), Counter[str](), Counter[str]()
    for example in world.examples:
        if example.npc:
            said = sum(turn.speaker == example.npc for turn in example.turns)
            exchanges[example.npc] += said
            several[example.npc] += said > 1
            crowded[example.npc] += len(example.voices()) > 1
    assert all(exchanges[npc] >= 40 and several[npc] >= 10 and crowded[npc] >= 1 for npc in world.npcs)
    languages = {(example.npc, example.language) for example in world.examples if example.npc}
    assert languages == {(npc, language) for npc in world.npcs for language in world.languages}


def test_every_book_goes_on_and_every_place_is_told(world: World) -> None:
    told = Counter(example.voice for example in world.examples if not example.npc)
    assert all(told[book] >= 10 for book in world.books)
    assert all(told[place] >= 5 for place in world.places)


def test_every_revelacion_is_pointed_at_and_has_what_would_spoil_it(world: World) -> None:
    served = {name for example in world.examples for name in example.serves}
    assert served == set(world.revelaciones)
    assert all(one.hints and one.spoilers for one in world.revelaciones.values())
    assert sum(bool(one.requires) for one in world.revelaciones.values()) >= 12


def test_no_two_answers_share_a_run_of_words(world: World) -> None:
    first: dict[tuple[str, ...], str] = {}
    shared = set()
    for example in world.examples:
        for text in answers(example):
            for run in runs(text):
                other = first.setdefault(run, example.id)
                if other != example.id:
                    shared.add((other, example.id, " ".join(run)))
    assert not shared


def test_nothing_held_out_stands_in_what_is_trained(world: World) -> None:
    trained: set[tuple[str, ...]] = set()
    for book in world.books.values():
        trained |= runs(book.text, 8)
    for example in world.examples:
        if example.split == "train":
            for text in answers(example):
                trained |= runs(text, 8)
    held_out = [example for example in world.examples if example.split != "train"]
    leaks = {(one.id, " ".join(run)) for one in held_out for text in answers(one) for run in runs(text, 8) & trained}
    assert not leaks
    shares = Counter((example.split, example.npc) for example in world.examples if example.npc)
    assert all(shares["test", npc] >= 6 and shares["validation", npc] >= 4 for npc in world.npcs)


def test_nobody_breaks_the_canon(world: World) -> None:
    broken = [
        (example.id, ban.id)
        for example in world.examples
        for text in answers(example)
        for ban in world.canon.never
        if re.search(ban.pattern, text, re.IGNORECASE)
    ]
    broken += [
        (book.id, ban.id)
        for book in world.books.values()
        for ban in world.canon.never
        if re.search(ban.pattern, book.text, re.IGNORECASE)
    ]
    assert not broken


def test_nothing_is_told_before_its_time(world: World) -> None:
    early = [
        (example.id, one.id)
        for example in world.examples
        for one in world.revelaciones.values()
        if not set(one.requires) <= {*example.known}
        for said in (one.statement, *one.spoilers)
        if any(said.lower().rstrip(".") in text.lower() for text in answers(example))
    ]
    assert not early
    unknown = [
        example.id
        for example in world.examples
        if any(not set(world.revelaciones[name].requires) <= {*example.known} for name in example.known)
    ]
    assert not unknown, "who knows a revelación knows what comes before it"


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("They burned the book in a stove.", "no_burnt_book"),
        ("That page was thrown away.", "no_burnt_book"),
        ("Quemaron los libros viejos.", "no_burnt_book"),
        ("My grandfather built this library.", "no_maker"),
        ("La hizo un rey: fundó la biblioteca.", "no_maker"),
        ("The lamp burned low over the book.", None),
        ("He made this library card.", None),
    ],
)
def test_the_newer_rules_catch_what_they_name(world: World, said: str, rule: str | None) -> None:
    caught = [ban.id for ban in world.canon.never if re.search(ban.pattern, said, re.IGNORECASE)]
    assert caught == ([rule] if rule else [])
