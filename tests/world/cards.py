"""Character cards as chat programs write them, for tests: JSON of each version, and PNG files around it."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

PROSE = """Mira Vale is the keeper of the north light. She came to {{char}}'s tower as a child.
She can read the weather in the gulls! Nobody has seen her asleep."""

DIALOGUES = """<START>
{{user}}: Is the lamp always lit?
{{char}}: *She taps the glass.* Always.
Or nearly, {{user}}.
{{user}}: Nearly?
{{char}}: Once a year I blink.
<START>
{{char}}: You again.
{{user}}: Me again.
Mira Vale: Then hold the ladder.
{{user}}: Gladly.
<START>
{{char}}: Only talking to myself.
"""

FIELDS: dict[str, Any] = {
    "name": "Mira Vale",
    "description": PROSE,
    "personality": "dry, patient,\nanswers with weather",
    "scenario": "A storm is coming.",
    "first_mes": "*She does not turn round.* You are late, {{user}}. {{char}} kept the stairs lit.",
    "mes_example": DIALOGUES,
}
BOOK = {
    "name": "Mira's book",
    "extensions": {},
    "entries": [
        {"keys": ["lamp"], "content": "@@depth 4\n@@role system\nThe lamp burns\nfish oil.", "enabled": True},
        {"keys": ["gulls"], "content": "The gulls are paid.", "enabled": False},
        {"keys": [], "content": "{{char}} owes the sea a ring.", "enabled": True, "constant": True},
    ],
}
V2: dict[str, Any] = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {
        **FIELDS,
        "creator_notes": "Best with a storm.",
        "system_prompt": "Write one reply only.",
        "post_history_instructions": "",
        "alternate_greetings": ["Oh."],
        "tags": ["sea"],
        "creator": "someone",
        "character_version": "",
        "extensions": {"regex_scripts": [{"scriptName": "x"}], "talkativeness": "0.5", "fav": False},
        "character_book": BOOK,
    },
}
V3: dict[str, Any] = {
    "spec": "chara_card_v3",
    "spec_version": "3.0",
    "data": {
        **V2["data"],
        "nickname": "Mi",
        "group_only_greetings": [],
        "assets": [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}],
    },
}
V1 = {**FIELDS, "chat": "Mira - 2023", "create_date": "2023-05-01", "avatar": "none", "talkativeness": "0.5"}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


HEADER = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
PIXEL = chunk(b"IDAT", zlib.compress(b"\0\0"))
END = chunk(b"IEND", b"")
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def packed(card: Any) -> bytes:
    return base64.b64encode(json.dumps(card, ensure_ascii=False).encode("utf-8"))


def text_chunk(keyword: str, text: bytes, kind: str = "tEXt") -> bytes:
    head = keyword.encode("latin-1") + b"\0"
    if kind == "zTXt":
        return chunk(b"zTXt", head + b"\0" + zlib.compress(text))
    if kind == "iTXt":
        return chunk(b"iTXt", head + b"\0\0en\0\0" + text)
    if kind == "iTXt, packed":
        return chunk(b"iTXt", head + b"\1\0\0\0" + zlib.compress(text))
    return chunk(b"tEXt", head + text)


def png(*texts: bytes) -> bytes:
    """A picture of one pixel with these chunks."""
    return SIGNATURE + HEADER + b"".join(texts) + PIXEL + END
