"""Make conversation files from Synthetic-Persona-Chat: the second speaker becomes the character.

    python recipes/persona_chat.py Synthetic-Persona-Chat_test.csv build/persona

Source: GitHub google-research-datasets/Synthetic-Persona-Chat (CC BY 4.0), columns `user 1 personas`,
`user 2 personas` and `Best Generated Conversation`. Written into OUT: train.jsonl and valid.jsonl, one conversation a
line as `messages`; the second speaker's persona lines are the system text. Every tenth conversation is held out.
Conversations that do not alternate, or in which the character says nothing, are left out and counted.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path

from eterna.errors import Place, UserError
from eterna.files import read_text, write_whole
from eterna.text import shown

PERSONA, CONVERSATION = "user 2 personas", "Best Generated Conversation"
TURN = re.compile(r"^User ([12]):\s*", re.MULTILINE)
HOLD_OUT_EVERY = 10


def conversation(persona: str, text: str) -> list[dict[str, str]] | None:
    """Messages from the persona and the turns `User 1: ... User 2: ...`; None where they do not alternate."""
    parts = TURN.split(text)[1:]
    turns = list(zip(parts[::2], parts[1::2], strict=True))
    if turns and turns[0][0] == "2":
        turns = turns[1:]
    if turns and turns[-1][0] == "1":
        turns = turns[:-1]
    if len(turns) < 2 or any(number != "12"[place % 2] for place, (number, _) in enumerate(turns)):
        return None
    if not all(said.strip() for _, said in turns):
        return None
    lines = "\n".join(line.strip() for line in persona.splitlines() if line.strip())
    messages = [{"role": "system", "content": lines}]
    return messages + [
        {"role": "user" if number == "1" else "assistant", "content": " ".join(said.split())} for number, said in turns
    ]


def prepare(source: Path, out: Path) -> tuple[int, int, int]:
    """Write both files. Returns how many conversations are in train, in valid, and left out.

    Raises UserError for a file without the columns.
    """
    rows = csv.DictReader(io.StringIO(read_text(source)))
    for column in (PERSONA, CONVERSATION):
        if column not in (rows.fieldnames or []):
            place, fix = Place(str(source), 1), "take a .csv of Synthetic-Persona-Chat, header included"
            raise UserError(f"there is no column {shown(column)}", place, fix)
    parts: dict[str, list[str]] = {"train": [], "valid": []}
    left_out = 0
    for number, row in enumerate(rows):
        messages = conversation(row[PERSONA] or "", row[CONVERSATION] or "")
        if messages is None:
            left_out += 1
            continue
        part = "valid" if number % HOLD_OUT_EVERY == 0 else "train"
        value = {"id": f"spc-{number}", "language": "en", "messages": messages}
        parts[part].append(json.dumps(value, ensure_ascii=False) + "\n")
    for part, lines in parts.items():
        write_whole(out / f"{part}.jsonl", "".join(lines))
    return len(parts["train"]), len(parts["valid"]), left_out


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.stderr.write("usage: python recipes/persona_chat.py FILE.csv OUT\n")
        sys.exit(2)
    try:
        counts = prepare(Path(sys.argv[1]), Path(sys.argv[2]))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    sys.stdout.write("train {}, valid {}, left out {}\n".format(*counts))
