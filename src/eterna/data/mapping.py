"""Which columns of somebody else's file were probably meant as prompt, completion, messages or text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from eterna.config import Columns

# What people call them, the likeliest first; seen in public data sets, in English and Spanish.
NAMES = {
    "messages": ("dialogue", "dialog", "chat", "turns", "thread", "dialogo", "diálogo", "mensajes"),
    "prompt": (
        *("question", "pregunta", "query", "prompt", "user", "human", "player", "jugador", "instruction", "input"),
        *("entrada", "context", "contexto", "request", "source", "q"),
    ),
    "completion": (
        *("answer", "respuesta", "completion", "response", "reply", "assistant", "bot", "npc", "gpt", "output"),
        *("salida", "target", "chosen", "a"),
    ),
    "text": ("content", "contenido", "body", "texto", "story", "document", "article", "passage", "paragraph"),
}
ALIKE = 0.8
"""How like a standard name a misspelt one is at least, by difflib's ratio."""
COMMON = {
    "group": "group: examples that belong together",
    "voice": "voice: who speaks",
    "language": "language",
    "place": "place",
    "book": "book",
}


def propose_columns(row: Mapping[str, Any], columns: Columns) -> dict[str, str]:
    """Field of `columns` to column of the row, where the names are near; empty where nothing is."""
    prompt = _meant("prompt", row, columns)
    completion = _meant("completion", row, columns, but=prompt)
    if prompt and completion:
        return {"prompt": prompt, "completion": completion}
    for field in ("messages", "text"):
        found = _meant(field, row, columns)
        if found and _suits(field, row[found]):
            return {field: found}
    return {}


def _meant(field: str, names: Iterable[str], columns: Columns, but: str | None = None) -> str | None:
    own = getattr(columns, field)
    folded = {name.strip().lower(): name for name in names if name != but}
    for known in (own, *NAMES[field]):
        if known in folded:
            return folded[known]
    near = difflib.get_close_matches(own, folded, n=1, cutoff=ALIKE)
    return folded[near[0]] if near else None


def _suits(field: str, value: Any) -> bool:
    if field == "text":
        return isinstance(value, str)
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def written_columns(meant: Mapping[str, str]) -> str:
    """A mapping as it stands in a run file: `{prompt: question, completion: answer}`."""
    from eterna.config.writing import to_flow_yaml

    return to_flow_yaml(dict(meant))


def common_columns(columns: Columns) -> dict[str, str]:
    """What the columns mean that rows of any shape can have."""
    return {columns.id: "id", columns.weight: "loss weight of the example", **COMMON}
