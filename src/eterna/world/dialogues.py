"""Example dialogues of a character card: blocks after `<START>`, lines that begin with `{{user}}:` or `{{char}}:`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from eterna.text import plural
from eterna.world.schema import PLAYER, Turn

NPC_MARKS, PLAYER_MARKS = ("{{char}}", "<char>", "<bot>"), ("{{user}}", "<user>", "user", "you")
COMMENT = re.compile(r"\{\{(?://|comment:)[^{}]*\}\}", re.IGNORECASE)
MACRO = re.compile(r"\{\{[^{}]*\}\}")


@dataclass
class Macros:
    """Fills in names for `{{char}}` and `{{user}}`, and notes what it could not fill."""

    char: str
    player: str
    used_player: bool = False
    unknown: set[str] = field(default_factory=set)

    def fill(self, text: str) -> str:
        """The text with both names in place, comments left out, other macros as they are."""
        text = COMMENT.sub("", text)
        text = re.sub("|".join(map(re.escape, NPC_MARKS)), lambda _: self.char, text, flags=re.IGNORECASE)
        text, count = re.subn(r"\{\{user\}\}|<user>", lambda _: self.player, text, flags=re.IGNORECASE)
        self.used_player |= count > 0
        self.unknown |= set(MACRO.findall(text))
        return text.strip()


@dataclass(frozen=True)
class Dialogues:
    """The dialogues that can be learnt from, and what had to be left."""

    blocks: list[list[Turn]]
    notes: list[str]


def read_dialogues(text: str, npc: str, names: tuple[str, ...], macros: Macros) -> Dialogues:
    """Dialogues that go from the player to the NPC and end with the NPC.

    npc: the id that its turns get. names: what the NPC is called at the beginning of a line, besides {{char}}.
    """
    speakers = dict.fromkeys(PLAYER_MARKS, PLAYER) | {name.lower(): npc for name in (*NPC_MARKS, *names) if name}
    said = "|".join(sorted(map(re.escape, speakers), key=len, reverse=True))
    line_start = re.compile(rf"\s*({said})\s*:[ \t]*(.*)", re.IGNORECASE | re.DOTALL)
    blocks: list[list[Turn]] = []
    openings = endings = empty = 0
    for block in re.split(r"<START>", text, flags=re.IGNORECASE):
        if not block.strip():
            continue
        turns = _turns(block, line_start, speakers, macros)
        first = next((number for number, turn in enumerate(turns) if turn.speaker == PLAYER), len(turns))
        last = next((number for number in range(len(turns), first, -1) if turns[number - 1].speaker == npc), first)
        if first == last:
            empty += 1
            continue
        openings, endings = openings + (first > 0), endings + (last < len(turns))
        blocks.append(turns[first:last])
    notes = [f"mes_example: {plural(empty, 'block')} without a question and an answer left out"] if empty else []
    notes += [f"mes_example: {plural(openings, 'opening')} before the player's first line left out"] if openings else []
    notes += (
        [f"mes_example: {plural(endings, 'last line')} of the player without an answer left out"] if endings else []
    )
    return Dialogues(blocks, notes)


def _turns(block: str, line_start: re.Pattern[str], speakers: dict[str, str], macros: Macros) -> list[Turn]:
    """The turns of one block; a line without a speaker goes on with the turn before, the first ones are no turn."""
    said: list[tuple[str, list[str]]] = []
    for line in block.strip().split("\n"):
        if match := line_start.match(line):
            speaker = speakers[match[1].lower()]
            if not said or said[-1][0] != speaker:
                said.append((speaker, []))
            said[-1][1].append(match[2])
        elif said:
            said[-1][1].append(line)
    filled = ((speaker, macros.fill("\n".join(lines))) for speaker, lines in said)
    return [Turn(speaker=speaker, text=text) for speaker, text in filled if text]
