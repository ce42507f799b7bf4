"""Character cards are read strictly, and become NPCs of a sound world."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.world import cards
from tests.world.cards import V1, V2, V3, packed, png, text_chunk

from eterna.errors import UserError, WorldError
from eterna.pipeline.init import STARTER
from eterna.world import load_world
from eterna.world.card_import import Imported, import_card
from eterna.world.cards import read_card


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STARTER / "world", tmp_path / "world"))


def write(folder: Path, content: Any, name: str = "card.json") -> Path:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / name).write_bytes(raw)
    return folder / name


def bring(world: Path, card: Any, **options: Any) -> Imported:
    return import_card(write(world.parent, card), str(world), **{"place": "landing", **options})


def changed(**fields: Any) -> dict[str, Any]:
    return {**V2, "data": {**V2["data"], **fields}}


def test_a_card_becomes_an_npc(world: Path) -> None:
    done = bring(world, V2)
    npc = load_world(world).npcs["mira_vale"]
    assert npc == done.npc
    assert (npc.name, npc.place) == ("Mira Vale", "landing")
    assert npc.role == "the keeper of the north light"
    assert npc.manner == "dry, patient, answers with weather"
    assert npc.greeting == "*She does not turn round.* You are late, traveller. Mira Vale kept the stairs lit."
    assert npc.knows == [
        "She came to Mira Vale's tower as a child.",
        "She can read the weather in the gulls!",
        "Nobody has seen her asleep.",
        "The lamp burns fish oil.",
        "Mira Vale owes the sea a ring.",
    ]
    assert npc.never_says == []
    assert done.written == [world / "npcs" / "mira_vale.yaml", world / "examples" / "mira_vale.jsonl"]


def test_its_dialogues_become_training_conversations(world: Path) -> None:
    bring(world, V2)
    found = [one for one in load_world(world).examples if one.npc == "mira_vale"]
    assert [(one.id, one.split, one.place, one.language) for one in found] == [
        ("mira_vale-card-1", "train", "landing", "en"),
        ("mira_vale-card-2", "train", "landing", "en"),
    ]
    assert [(turn.speaker, turn.text) for turn in found[0].turns] == [
        ("player", "Is the lamp always lit?"),
        ("mira_vale", "*She taps the glass.* Always.\nOr nearly, traveller."),
        ("player", "Nearly?"),
        ("mira_vale", "Once a year I blink."),
    ]
    assert [turn.text for turn in found[1].turns] == ["Me again.", "Then hold the ladder."]


def test_what_was_not_taken_over_is_said(world: Path) -> None:
    notes = "\n".join(bring(world, V2).notes)
    for said in (
        "1 block without a question and an answer left out",
        "1 opening before the player's first line left out",
        "1 last line of the player without an answer left out",
        "{{user}} became 'traveller'",
        "1 disabled entry left out",
        "keys left out",
        "scenario, creator_notes, system_prompt, alternate_greetings, tags, creator, extensions.regex_scripts",
    ):
        assert said in notes
    assert "post_history_instructions" not in notes


def test_versions_one_and_three_are_read_too(world: Path) -> None:
    first, third = bring(world, V1, npc_id="one"), bring(world, V3, npc_id="three", language="es", player="Ana")
    assert (first.card.version, third.card.version) == ("V1", "V3")
    assert third.npc.greeting == "*She does not turn round.* You are late, Ana. Mi kept the stairs lit."
    assert {one.language for one in third.examples} == {"es"}
    assert "assets" in third.notes[-1]
    assert set(load_world(world).npcs) >= {"one", "three"}


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "iTXt, packed"])
@pytest.mark.parametrize("keyword", ["chara", "ccv3"])
def test_a_picture_holds_its_card_in_every_kind_of_text(tmp_path: Path, kind: str, keyword: str) -> None:
    raw = png(text_chunk("Software", b"x" * 9), text_chunk(keyword, packed(V2), kind))
    assert read_card(write(tmp_path, raw, "card.png")) == read_card(write(tmp_path, V2))


def test_the_newer_card_of_a_picture_wins(tmp_path: Path) -> None:
    raw = png(text_chunk("ccv3", packed(V3)), text_chunk("chara", packed(V2)))
    assert read_card(write(tmp_path, raw)).version == "V3"


def test_role_and_manner_of_a_card_written_as_a_list(world: Path) -> None:
    listed = '[character("Mira")\n{\nOccupation("lamp keeper")\nMind("dry" + "patient")\n}]'
    npc = bring(world, changed(description=listed, personality="")).npc
    assert (npc.role, npc.manner) == ("lamp keeper", "dry, patient")


def test_a_card_of_one_sentence_gives_role_and_manner(world: Path) -> None:
    npc = bring(world, changed(description="Ella es la farera.", personality="", character_book=None)).npc
    assert (npc.role, npc.manner, npc.knows) == ("la farera", "Ella es la farera.", [])
    assert bring(world, changed(description="", name="Zoë")).npc.id == "zoe"


def test_signs_that_yaml_could_misread_come_back_as_they_were(world: Path) -> None:
    text = 'no: "quotes" # and \\ or\ttabs\n- {{// hidden}}ünï 海 \u0085\u2028 end: 1e5'
    npc = bring(world, changed(first_mes=text, personality="no", mes_example="")).npc
    assert npc.greeting == text.replace("{{// hidden}}", "")
    assert npc.manner == "no"
    assert load_world(world).npcs["mira_vale"] == npc


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no place named": (V2, {"place": None}, "--place landing or taproom"),
    "unknown place": (V2, {"place": "landng"}, "did you mean 'landing'"),
    "npc exists": (V2, {"npc_id": "ferryman"}, "ferryman.yaml exists already"),
    "no id": (V2, {"npc_id": "../mira"}, "'../mira' cannot be an id"),
    "the player's id": (V2, {"npc_id": "player"}, "'player' cannot be an id"),
    "a name without letters": (changed(name="海"), {}, "made of the name '海'"),
    "no name": (changed(name=" "), {}, "the card has no name"),
    "no greeting": (changed(first_mes=""), {}, "has no greeting"),
    "no character": (changed(description="", personality=""), {}, "says nothing about its character"),
    "a number for a text": (changed(description=3), {}, "description is 3"),
    "a book of text": (changed(character_book="x"), {}, "character_book is 'x'"),
    "an entry of text": (changed(character_book={"entries": ["x"]}), {}, "entry 1 of character_book is 'x'"),
    "unknown spec": ({**V2, "spec": "chara_card_v9"}, {}, "spec is 'chara_card_v9'"),
    "no data": ({**V2, "data": []}, {}, "data is []"),
    "not a card": ({"foo": 1}, {}, "the card has no name"),
    "a list": (b"[1]", {}, "neither a PNG file nor a JSON object"),
    "broken json": (b'{"spec": ', {}, "not valid JSON"),
    "a charx archive": (b"PK\x03\x04", {}, "a .charx archive"),
    "a photo": (b"\xff\xd8\xff\xe0", {}, "neither a PNG file nor a JSON object"),
    "latin-1": ('{"name": "ñ"}'.encode("latin-1"), {}, "is not UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_card_that_cannot_be_used_is_refused_and_nothing_is_written(world: Path, case: str) -> None:
    card, options, message = REFUSED[case]
    before = {path: path.read_bytes() for path in world.rglob("*") if path.is_file()}
    with pytest.raises(UserError) as caught:
        bring(world, card, **options)
    assert message in str(caught.value)
    assert {path: path.read_bytes() for path in world.rglob("*") if path.is_file()} == before


def test_conversations_of_others_in_a_file_of_its_name_are_not_overwritten(world: Path) -> None:
    path = (world / "examples" / "ferryman.jsonl").rename(world / "examples" / "mira_vale.jsonl")
    before = path.read_bytes()
    with pytest.raises(WorldError, match=r"mira_vale.jsonl exists already"):
        bring(world, V2)
    assert path.read_bytes() == before
    assert not (world / "npcs" / "mira_vale.yaml").exists()


def test_the_shipped_world_and_a_missing_card_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="comes with Eterna"):
        import_card(write(tmp_path, V2), "eterna:biblioteca")
    with pytest.raises(UserError, match="no such file"):
        read_card(tmp_path / "none.png")


def test_a_world_that_would_not_be_sound_with_the_card_is_left_as_it_was(world: Path) -> None:
    path = world / "examples" / "ferryman.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("ferryman-1", "mira-card-1"), encoding="utf-8")
    with pytest.raises(WorldError, match="'mira-card-1' stands twice"):
        bring(world, V2, npc_id="mira")
    assert "mira" not in load_world(world).npcs


CARD = text_chunk("chara", packed(V2))
BOMB = text_chunk("chara", b"A" * (8 * 1024 * 1024 + 1), "zTXt")
SPOILT: dict[str, tuple[bytes, str]] = {
    "no card": (png(), "holds no character card"),
    "cut in a chunk": (png(CARD)[:-40], "the file ends"),
    "cut before the end": (png(CARD)[:-12], "byte 0*[1-9][0-9]*: the file ends before its last chunk"),
    "a wrong checksum": (png(CARD).replace(b"chara", b"charb"), "the checksum of the chunk tEXt is wrong"),
    "a huge length": (png(struct.pack(">I4s", 2**32 - 1, b"tEXt")), "4,294,967,295 bytes, but the file ends"),
    "no header first": (cards.SIGNATURE + CARD + cards.END, "no chunk begins here"),
    "not base64": (png(text_chunk("chara", b"{}")), "is not base64"),
    "base64 of other bytes": (png(text_chunk("chara", b"/w==")), "is not UTF-8"),
    "a bomb": (png(BOMB), "unpacked it has more than 8,388,608 bytes"),
    "too long": (png(text_chunk("chara", b"A" * (8 * 1024 * 1024 + 1))), "at most 8,388,608 are read"),
    "zlib cut off": (png(cards.chunk(b"zTXt", b"chara\0\0" + zlib.compress(packed(V2))[:-9])), "is cut off"),
    "not zlib": (png(cards.chunk(b"zTXt", b"chara\0\0xxxx")), "cannot be read"),
    "unknown compression": (png(cards.chunk(b"zTXt", b"chara\0\1xxxx")), "unknown compression method"),
    "two cards": (png(CARD, text_chunk("chara", packed(V1))), "stands twice, and differs"),
    "too many chunks": (png(cards.chunk(b"prVt", b"") * 100_001), "more than 100,000 chunks"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_picture_is_refused(tmp_path: Path, case: str) -> None:
    raw, message = SPOILT[case]
    with pytest.raises(UserError, match=message):
        read_card(write(tmp_path, raw, "card.png"))


def test_a_file_beyond_the_bound_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "card.png").open("wb") as file:
        file.write(cards.SIGNATURE)
        file.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(WorldError, match="at most 67,108,864 are read"):
        read_card(tmp_path / "card.png")


@given(st.integers(0, len(png(CARD)) - 1), st.integers(0, 255))
def test_any_changed_byte_ends_as_a_card_or_as_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    raw = bytearray(png(CARD))
    raw[at] = value
    try:
        assert read_card(write(tmp_path_factory.mktemp("png"), bytes(raw))).name == "Mira Vale"
    except UserError as error:
        assert error.problems


@given(st.text(st.sampled_from(list("<START>{user}:char \n")), max_size=120))
def test_any_dialogue_gives_conversations_that_a_world_accepts(text: str) -> None:
    from eterna.world.dialogues import Macros, read_dialogues

    for turns in read_dialogues(text, "mira", ("Mira",), Macros("Mira", "you")).blocks:
        assert len(turns) % 2 == 0
        assert [turn.speaker for turn in turns] == ["player", "mira"] * (len(turns) // 2)
