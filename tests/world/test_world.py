"""The shipped world is sound; mistakes in a world are named; the prompt builder keeps what must stay."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from eterna.errors import WorldError
from eterna.world import Context, Scene, Turn, World, build_messages, find_world, fit_turns, load_world


@pytest.fixture(scope="session")
def world() -> World:
    return load_world(find_world("eterna:biblioteca"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_world("eterna:biblioteca"), tmp_path / "world"))


def test_no_reply_of_the_shipped_world_breaks_its_canon(world: World) -> None:
    for example in world.examples:
        for turn in example.turns[1::2]:
            for ban in world.canon.never:
                assert not re.search(ban.pattern, turn.text, re.IGNORECASE), f"{example.id} says {ban.id}"


def test_no_conversation_hints_at_what_its_reader_may_not_know_yet(world: World) -> None:
    for example in world.examples:
        for name in example.serves:
            assert set(world.revelaciones[name].requires) <= set(example.known), example.id


def test_messages_hold_persona_place_book_and_what_is_known(world: World) -> None:
    context = Context("archivera", "sala_de_mapas", "bestiario", ("shelves_move_at_night",))
    messages = build_messages(world, context, [Turn(speaker="player", text=" Hola ")])
    system = messages[0]["content"]
    assert system.startswith("You are Archivera Inés")
    assert "Place: Sala de Mapas." in system
    assert "Open book: " + world.books["bestiario"].title in system
    assert world.revelaciones["shelves_move_at_night"].statement in system
    assert messages[1:] == [{"role": "user", "content": "Hola"}]


def test_an_empty_context_has_no_system_message(world: World) -> None:
    assert build_messages(world, Context(), [Turn(speaker="player", text="Hi")])[0]["role"] == "user"


def test_training_and_chat_build_the_same_prompt(world: World) -> None:
    example = world.examples[0]
    trained = build_messages(world, Context.of(example, example.npc), example.turns)
    talked = build_messages(world, Context.of(example, example.npc), example.turns[:-1])
    assert trained[: len(talked)] == talked


def test_past_the_window_the_oldest_turns_drop_and_the_persona_stays(world: World) -> None:
    turns = [Turn(speaker="player" if n % 2 == 0 else "archivera", text=f"turn {n}") for n in range(9)]
    messages = build_messages(world, Context(npc="archivera"), turns)
    kept, dropped = fit_turns(messages, lambda some: 10 * len(some), budget=45)
    assert dropped == 6
    assert [message["content"] for message in kept[1:]] == ["turn 6", "turn 7", "turn 8"]
    assert kept[0] == messages[0]


def test_the_last_turn_never_drops(world: World) -> None:
    messages = build_messages(world, Context(npc="archivera"), [Turn(speaker="player", text="x")])
    assert fit_turns(messages, lambda some: 10**6, budget=1)[0] == messages


def breaks(copy: Path, expected: str) -> str:
    with pytest.raises(WorldError, match=expected) as caught:
        load_world(copy)
    return str(caught.value)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_an_unknown_key_names_file_and_line(copy: Path) -> None:
    edit(copy / "npcs" / "archivera.yaml", "manner:", "maner:")
    assert re.search(r"archivera.yaml:\d+:1: unknown key maner\n    fix: did you mean 'manner'", breaks(copy, "maner"))


def test_an_unknown_reference_names_the_nearest(copy: Path) -> None:
    edit(copy / "npcs" / "archivera.yaml", "place: escalera_sin_fin", "place: escalera_sin_fn")
    assert "did you mean 'escalera_sin_fin'" in breaks(copy, "does not exist")


def test_several_npcs_and_a_narrator_may_speak(copy: Path) -> None:
    edit(copy / "examples" / "archivera.jsonl", '"speaker": "player"', '"speaker": "farolero"')
    edit(copy / "examples" / "archivera.jsonl", '"speaker": "archivera"', '"speaker": "narrator"')
    example = next(one for one in load_world(copy).examples if one.id == "archivera-001")
    assert example.voices() == ["archivera", "farolero"]
    messages = build_messages(load_world(copy), Context.of(example, "archivera"), example.turns)
    assert [message.get("name") for message in messages[1:3]] == ["Abel", "narrator"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"speaker": "player"', '"speaker": "farolera"', "did you mean 'farolero'"),
        ('"npc": "archivera"', '"npc": "farolero"', "farolero says nothing"),
    ],
)
def test_an_example_with_a_wrong_speaker_names_its_line(copy: Path, old: str, new: str, expected: str) -> None:
    edit(copy / "examples" / "archivera.jsonl", old, new)
    assert "archivera.jsonl:1: " in breaks(copy, expected)


def test_a_circle_of_revelaciones_is_shown(copy: Path) -> None:
    path = copy / "revelaciones.yaml"
    path.write_text(
        "- {id: a, statement: A., requires: [b]}\n- {id: b, statement: B., requires: [a]}\n", encoding="utf-8"
    )
    for file in (copy / "examples").iterdir():
        file.unlink()
    breaks(copy, "a -> b -> a")


def test_a_bad_pattern_in_the_canon_is_named(copy: Path) -> None:
    (copy / "canon.yaml").write_text("never: [{id: x, text: X., pattern: '('}]\n", encoding="utf-8")
    breaks(copy, r"never.0.pattern is not a regular expression")


def test_a_book_without_front_matter_is_named(copy: Path) -> None:
    (copy / "books" / "bestiario.md").write_text("No front matter.\n", encoding="utf-8")
    breaks(copy, "starts with YAML between")


def test_a_newer_world_format_is_refused(copy: Path) -> None:
    edit(copy / "world.yaml", "format: 1", "format: 2")
    breaks(copy, "format is missing or not 1")


def test_several_mistakes_are_shown_together(copy: Path) -> None:
    edit(copy / "npcs" / "archivera.yaml", "manner:", "maner:")
    edit(copy / "places" / "sala_de_mapas.yaml", "light:", "lihgt:")
    message = breaks(copy, "maner")
    assert "lihgt" in message


def test_an_unknown_shipped_world_names_the_known_ones() -> None:
    with pytest.raises(WorldError, match="biblioteca"):
        find_world("eterna:bibliotheca")


@pytest.mark.parametrize("name", ["x" * 300, "~nobody-of-that-name/world"])
def test_a_name_that_no_folder_can_have_is_no_world(name: str) -> None:
    with pytest.raises(WorldError, match=r"is not a world"):
        find_world(name)


def test_a_world_is_found_from_the_home_folder(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(copy.parent))
    assert find_world("~/world") == copy


def test_a_folder_that_is_no_world_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"holds no world.yaml"):
        find_world(str(tmp_path))


def voiceless(copy: Path, **values: Any) -> str:
    """A world whose only new example has no NPC; what is wrong with it, if anything."""
    turns = [{"speaker": "player", "text": "Go on."}, {"speaker": values.pop("speaker", ""), "text": "And so it did."}]
    example = {"id": "x", "split": "train", "npc": None, "place": None, "language": "en", "turns": turns, **values}
    (copy / "examples" / "more.jsonl").write_text(json.dumps(example), encoding="utf-8")
    try:
        load_world(copy)
    except WorldError as error:
        return str(error)
    return ""


def test_a_book_goes_on_and_a_place_is_told_without_an_npc(copy: Path) -> None:
    assert not voiceless(copy, book="bestiario", place="sala_de_mapas", speaker="bestiario")
    world = load_world(copy)
    example = next(one for one in world.examples if one.id == "x")
    assert example.voices() == [example.voice] == ["bestiario"]
    messages = build_messages(world, Context.of(example, "bestiario"), example.turns)
    assert messages[0]["content"].startswith("You are the open book and go on. Calm field notes")
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert Scene.of(world, example, "bestiario").voice == "bestiario"
    assert not voiceless(copy, place="sala_de_mapas", speaker="sala_de_mapas")
    world = load_world(copy)
    told = build_messages(world, Context(place="sala_de_mapas"), [Turn(speaker="player", text="Look.")])
    assert told[0]["content"].startswith("You tell the reader what is here.\nPlace: Sala de Mapas.")
    assert world.name_of("sala_de_mapas") == "Sala de Mapas"


def test_without_an_npc_the_book_or_the_place_must_answer(copy: Path) -> None:
    assert "nobody answers" in voiceless(copy, speaker="farolero")
    assert "bestiario says nothing" in voiceless(copy, book="bestiario", speaker="farolero")
    assert "spoken by 'sala_de_mapas'" in voiceless(
        copy, book="bestiario", place="sala_de_mapas", speaker="sala_de_mapas"
    )
    assert "spoken by 'bestiario'" in voiceless(copy, npc="farolero", book="bestiario", speaker="bestiario")
