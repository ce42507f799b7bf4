"""The shipped world is sound; mistakes in a world are named; the prompt builder keeps what must stay."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from eterna.errors import WorldError
from eterna.world import Context, Turn, World, build_messages, find_world, fit_turns, load_world


@pytest.fixture(scope="session")
def world() -> World:
    return load_world(find_world("eterna:biblioteca"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_world("eterna:biblioteca"), tmp_path / "world"))


def test_the_shipped_world_is_whole(world: World) -> None:
    assert len(world.books) >= 4
    assert len(world.npcs) >= 4
    assert len(world.places) >= 4
    assert len(world.revelaciones) >= 6
    assert len(world.examples) >= 120
    assert sum(example.language == "es" for example in world.examples) >= 0.15 * len(world.examples)


def test_no_reply_of_the_shipped_world_breaks_its_canon(world: World) -> None:
    for example in world.examples:
        for turn in example.turns[1::2]:
            for ban in world.canon.never:
                assert not re.search(ban.pattern, turn.text, re.IGNORECASE), f"{example.id} says {ban.id}"


def test_no_two_replies_share_a_run_of_twelve_words(world: World) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for example in world.examples:
        for turn in example.turns[1::2]:
            words = re.findall(r"\w+", turn.text.lower())
            for start in range(len(words) - 11):
                run = tuple(words[start : start + 12])
                assert seen.setdefault(run, example.id) == example.id


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
    example = load_world(copy).examples[0]
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
