"""A character card becomes an NPC of a world, with its example dialogues as training conversations."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eterna.config.writing import to_yaml
from eterna.errors import WorldError
from eterna.files import write_whole
from eterna.text import name_hint, plural, shown
from eterna.world.cards import Card, read_card
from eterna.world.dialogues import Macros, read_dialogues
from eterna.world.layout import ID
from eterna.world.loading import PACKAGED, find_world, load_world
from eterna.world.schema import NPC, PLAYER, Example, World

RESERVED = (PLAYER, "narrator")
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|\s*\n\s*")
# Descriptions are prose, or lists such as `Occupation: baker` or `Occupation("baker")`.
WORK = re.compile(
    r"\b(?:occupation|role|job|profession|ocupación|oficio|profesión)\b\s*[:=(]\s*[\"“]?([^\"”\n;)\]]+)", re.I
)
NATURE = re.compile(r"\b(?:personality|mind|personalidad|carácter)\b\s*[:=(]\s*[\"“]?([^\n;)\]]+)", re.I)

PLUS = re.compile(r"[\"”]\s*\+\s*[\"“]")


@dataclass(frozen=True)
class Imported:
    """What was written, and what a person should know about it."""

    card: Card
    npc: NPC
    examples: list[Example]
    written: list[Path]
    notes: list[str]

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "version": self.card.version,
            "npc": self.npc.model_dump(),
            "examples": len(self.examples),
            "written": [str(path) for path in self.written],
            "notes": self.notes,
        }


def import_card(
    path: Path,
    folder: str,
    npc_id: str | None = None,
    place: str | None = None,
    player: str = "traveller",
    language: str | None = None,
) -> Imported:
    """Write npcs/ID.yaml, and examples/ID.jsonl where the card holds dialogues, into the world in `folder`.

    player: the name put for {{user}}. language: of the card; the world's first where not given. Raises WorldError, and
    writes nothing, for a card or world that cannot be used or an NPC that exists.
    """
    if folder.startswith(PACKAGED):
        raise WorldError(f"{folder} comes with Eterna and is not written to", fix="name a world of your own")
    card = read_card(path)
    root = find_world(folder)
    world = load_world(root)
    name = _id_of(card, npc_id)
    files = [root / "npcs" / f"{name}.yaml", root / "examples" / f"{name}.jsonl"]
    if taken := next((file for file in files if file.exists()), None):
        raise WorldError(f"{taken} exists already", fix=f"give another id: --id {name}_2")
    macros = Macros(card.nickname or card.name, player)
    npc, notes = _npc(card, name, _place(world, place), macros)
    dialogues = read_dialogues(card.mes_example, name, (card.name, card.nickname), macros)
    spoken = language or (world.languages or ["en"])[0]
    examples = [
        Example(id=f"{name}-card-{number}", split="train", npc=name, place=npc.place, language=spoken, turns=turns)
        for number, turns in enumerate(dialogues.blocks, start=1)
    ]
    notes += [*dialogues.notes, *_notes(card, macros, spoken if examples else None)]
    written = files if examples else files[:1]
    _write(root, npc, examples, written)
    return Imported(card, npc, examples, written, notes)


def _id_of(card: Card, wanted: str | None) -> str:
    plain = unicodedata.normalize("NFKD", wanted or card.name).encode("ascii", "ignore").decode()
    name = wanted or re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:64]
    if not ID.fullmatch(name) or name in RESERVED:
        source = "" if wanted else f", made of the name {shown(card.name)}"
        raise WorldError(f"{shown(name)} cannot be an id{source}", fix="--id with lower-case letters, digits, _ and -")
    return name


def _place(world: World, wanted: str | None) -> str:
    known = sorted(world.places)
    if wanted is not None and wanted not in world.places:
        raise WorldError(f"the world {world.id} has no place {shown(wanted)}", fix=name_hint(wanted, known))
    if not known:
        raise WorldError(f"the world {world.id} has no place", fix="write places/ID.yaml first")
    if wanted is None and len(known) > 1:
        raise WorldError("a card does not say where in the world its character is", fix=f"--place {' or '.join(known)}")
    return wanted or known[0]


def _npc(card: Card, name: str, place: str, macros: Macros) -> tuple[NPC, list[str]]:
    """The NPC, and where its role and manner come from. Raises WorldError where the card says too little."""
    if not card.first_mes:
        raise WorldError(
            f"the card of {shown(card.name)} has no greeting (first_mes)", fix="add one in the chat program"
        )
    sentences = [part for part in map(_flat, SENTENCE_END.split(macros.fill(card.description))) if part]
    personality = _flat(macros.fill(card.personality))
    if not sentences and not personality:
        fix = f"fill in one of them, or write npcs/{name}.yaml by hand"
        raise WorldError("the card says nothing about its character: description and personality are empty", fix=fix)
    described = macros.fill(card.description)
    work, nature = WORK.search(described), NATURE.search(described)
    used = set()
    role = _flat(work[1]) if work else ""
    if not role:
        role = (sentences or SENTENCE_END.split(personality))[0]
        used.add(role)
    manner, origin = personality, "personality"
    if not manner and nature:
        manner, origin = _flat(PLUS.sub(", ", nature[1])).strip('"“”'), "description"
    elif not manner:
        manner, origin = sentences[min(1, len(sentences) - 1)], "description, for want of a personality"
        used.add(manner)
    knows = [one for one in sentences if one not in used]
    knows += [macros.fill(entry.content) for entry in card.entries if entry.enabled]
    notes = [
        f"role is taken from {'description' if sentences else 'personality'}, manner from {origin}: read them again"
    ]
    role = _without_subject(role, (card.name, card.nickname, macros.char)).rstrip(".")
    made = NPC(
        id=name,
        name=_flat(card.name),
        role=role,
        manner=manner,
        place=place,
        knows=list(dict.fromkeys(knows)),
        never_says=[],
        greeting=macros.fill(card.first_mes),
    )
    return made, notes


def _flat(text: str) -> str:
    return " ".join(text.split())


def _without_subject(sentence: str, names: tuple[str, ...]) -> str:
    """`Mira is the keeper` becomes `the keeper`, as it is read after `You are Mira,`."""
    called = {part for name in names if name for part in (name, name.split()[0])}
    subjects = "|".join(map(re.escape, sorted({*called, "she", "he", "they", "ella", "él"}, key=len, reverse=True)))
    return re.sub(rf"^(?:{subjects})\s+(?:is|are|was|es|era)\s+", "", sentence, flags=re.IGNORECASE)


def _notes(card: Card, macros: Macros, language: str | None) -> Iterator[str]:
    if language:
        yield f"the conversations are taken to be in {language} (--language)"
    if macros.used_player:
        yield f"{{{{user}}}} became {shown(macros.player)} (--player)"
    if macros.unknown:
        yield f"left as they are: {', '.join(sorted(macros.unknown))}"
    disabled = sum(not entry.enabled for entry in card.entries)
    if disabled:
        yield f"character_book: {plural(disabled, 'disabled entry').replace('entrys', 'entries')} left out"
    if any(entry.enabled and entry.has_keys for entry in card.entries):
        yield "character_book: keys left out: the NPC always knows what its entries say"
    if card.untaken:
        yield f"not taken over: {', '.join(card.untaken)}"


def _write(root: Path, npc: NPC, examples: list[Example], written: list[Path]) -> None:
    """Write the files, and take them back where the world would not be sound with them."""
    values = npc.model_dump(exclude={"id"})
    lines = [json.dumps(example.model_dump(), ensure_ascii=False) for example in examples]
    contents = [to_yaml(values), "".join(line + "\n" for line in lines)]
    try:
        for file, content in zip(written, contents, strict=False):
            write_whole(file, content)
        if load_world(root).npcs[npc.id] != npc:
            raise WorldError(f"{written[0]} is read back in other words than it was written", fix="write it by hand")
    except BaseException:
        for file in written:
            file.unlink(missing_ok=True)
        raise
