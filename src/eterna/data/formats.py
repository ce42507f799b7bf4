"""The shapes a row of a file can have; each becomes one of four: messages, prompt and completion, turns, or text.

`FORMATS` lists them in the order in which `auto` tries them. A converter is pure: a row in, a row or a Problem without
a place out. What is no part of the conversation (id, group, voice, ...) is kept as it is. Sources: the ShareGPT and
Alpaca shapes are those of LLaMA-Factory's `data/README.md` and of axolotl's documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from eterna.config import Columns
from eterna.data.mapping import propose_columns, written_columns
from eterna.errors import Place, Problem
from eterna.text import name_hint, shown

Row = dict[str, Any]

TURN_LISTS = ("conversations", "conversation")
ROLES = {
    "system": ("system",),
    "user": ("human", "user", "prompter", "player"),
    "assistant": ("gpt", "assistant", "bot", "model", "chatgpt", "ai", "char"),
}
ROLE_OF = {name: role for role, names in ROLES.items() for name in names}
TOOL_ROLES = ("tool", "function", "function_call", "function_response", "tool_call", "tool_response", "observation")
TOOL_KEYS = ("tool_calls", "function_call")
SPOKEN_ONLY = "Eterna trains what is said, without tools: leave the row out, or write the turn as plain text"
AS_TURNS = '[{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]'


@dataclass(frozen=True)
class Format:
    """One shape of rows."""

    detect: Callable[[Row, Columns], bool]
    """Whether a row has this shape."""
    takes: Callable[[Row, Columns], dict[str, str]]
    """What each column stands for, for people; of the columns the shape can have, in their order."""
    convert: Callable[[Row, Columns], Row | Problem]
    """The columns that the row becomes, by the names in `columns`."""


def detect_format(row: Row, columns: Columns) -> str | None:
    """The first format that the row has; columns without a value count only where nothing else fits."""
    filled = {name: value for name, value in row.items() if value is not None}
    for seen in (filled, row):
        for name, form in FORMATS.items():
            if form.detect(seen, columns):
                return name
    return None


def convert_row(row: Row, place: Place, form: str, columns: Columns) -> Row | Problem:
    """The row with exactly one of: messages; prompt and completion; turns; text. Other columns are kept.

    form: a name in FORMATS, or `auto`. A row of no known shape comes back unchanged unless its columns look like
    known ones under other names.
    """
    name = form if form != "auto" else detect_format(row, columns)
    if name is None:
        return _unknown(row, place, columns) or row
    if name not in FORMATS:
        return Problem(f"the format {name} is not one of rows", place, f"one of: {', '.join(FORMATS)}")
    found = FORMATS[name].convert(row, columns)
    if isinstance(found, Problem):
        return replace(found, place=place)
    taken = {columns.messages, columns.prompt, columns.completion, columns.text, *FORMATS[name].takes(row, columns)}
    return {key: value for key, value in row.items() if key not in taken or key == columns.id} | found


def _unknown(row: Row, place: Place, columns: Columns) -> Problem | None:
    """What is wrong with a row of no known shape, where that can be told: other names, or half of a pair."""
    if meant := propose_columns(row, columns):
        fix = f"map other names under data.columns: {written_columns(meant)}"
        return Problem(f"the columns are {', '.join(map(shown, row))}", place, fix)
    for pair in ((columns.prompt, columns.completion), _alpaca_names(columns)):
        if len(set(pair) & set(row)) == 1 and (problem := _missing(row, *pair)):
            return replace(problem, place=place)
    return None


def _missing(row: Row, *names: str) -> Problem | None:
    for name in names:
        if name in row and row[name] is None:
            return Problem(f"the column {name} is empty (null)", fix="fill it in, or remove the row")
        if name not in row:
            return Problem(f"the column {name} is missing", fix=name_hint(name, row))
    return None


def _keep(*fields: str) -> Callable[[Row, Columns], Row | Problem]:
    """A converter for a shape that is read as it is."""

    def convert(row: Row, columns: Columns) -> Row | Problem:
        names = [getattr(columns, field) for field in fields]
        return _missing(row, *names) or {name: row[name] for name in names}

    return convert


def _is_turn_list(value: Any) -> bool:
    """Whether this is a list of turns in ShareGPT's words, {from, value}."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "from" in value[0]


def _turns_column(row: Row, columns: Columns) -> str | None:
    if _is_turn_list(row.get(columns.messages)):
        return columns.messages
    return next((name for name in TURN_LISTS if isinstance(row.get(name), list)), None)


def _sharegpt(row: Row, columns: Columns) -> Row | Problem:
    column = _turns_column(row, columns)
    if column is None:
        wanted = columns.messages if columns.messages != "messages" else TURN_LISTS[0]
        return _missing(row, wanted) or Problem(f"{wanted} is {shown(row[wanted])}", fix=f"expected {AS_TURNS}")
    if row.get("tools") not in (None, "", "[]", []):
        return Problem(f"the column tools is {shown(row['tools'])}", fix=SPOKEN_ONLY)
    messages: list[Row] = []
    for number, turn in enumerate(row[column], start=1):
        message = _sharegpt_turn(turn)
        if isinstance(message, Problem):
            return replace(message, message=f"turn {number} of {column} {message.message}")
        messages.append(message)
    if not messages:
        return Problem(f"{column} is []", fix=f"expected {AS_TURNS}")
    return {columns.messages: [*_system_of(row, messages), *messages]}


def _system_of(row: Row, messages: list[Row]) -> Iterator[Row]:
    """The column `system` as a message, unless the conversation has its own."""
    text = row.get("system")
    if isinstance(text, str) and text.strip() and not (messages and messages[0]["role"] == "system"):
        yield {"role": "system", "content": text}


def _sharegpt_turn(turn: Any) -> Row | Problem:
    """One {from, value} or {role, content} as a message; `weight` and `name` are kept, other keys mean nothing here."""
    pairs = (("from", "value"), ("role", "content"), ("role", "value"))
    keys = next((pair for pair in pairs if isinstance(turn, dict) and set(pair) <= set(turn)), None)
    if keys is None:
        return Problem(f"is {shown(turn)}", fix="expected the keys from and value")
    speaker, text = turn[keys[0]], turn[keys[1]]
    role = str(speaker).strip().lower()
    if role in TOOL_ROLES or any(turn.get(key) for key in TOOL_KEYS):
        return Problem(f"is a tool's: {keys[0]} is {shown(speaker)}", fix=SPOKEN_ONLY)
    if role not in ROLE_OF:
        return Problem(f"is from {shown(speaker)}", fix=name_hint(role, ROLE_OF))
    if not isinstance(text, str) or not text.strip():
        return Problem(f"has the {keys[1]} {shown(text)}", fix="expected text")
    kept = {key: turn[key] for key in ("name", "weight") if turn.get(key) is not None}
    return {"role": ROLE_OF[role], "content": text, **kept}


def _alpaca_names(columns: Columns) -> tuple[str, str]:
    """Names of the columns instruction and output; `columns.prompt` and `columns.completion` rename them."""
    return (
        "instruction" if columns.prompt == "prompt" else columns.prompt,
        "output" if columns.completion == "completion" else columns.completion,
    )


def _alpaca(row: Row, columns: Columns) -> Row | Problem:
    instruction, output = _alpaca_names(columns)
    if problem := _missing(row, instruction, output):
        return problem
    for name in (instruction, "input", output, "system"):
        if not isinstance(row.get(name, ""), str | None):
            return Problem(f"{name} is {shown(row[name])}", fix="expected text")
    for name in (instruction, output):
        if not row[name].strip():
            return Problem(f"{name} is {shown(row[name])}", fix="expected text")
    earlier = _history(row.get("history") or [])
    if isinstance(earlier, Problem):
        return earlier
    asked = "\n".join(text for text in (row[instruction], row.get("input") or "") if text.strip())
    if not earlier and not row.get("system"):
        return {columns.prompt: asked, columns.completion: row[output]}
    turns = [*earlier, {"role": "user", "content": asked}, {"role": "assistant", "content": row[output]}]
    return {columns.messages: [*_system_of(row, turns), *turns]}


def _history(value: Any) -> list[Row] | Problem:
    """Earlier turns, [[question, answer], ...], as messages."""
    turns: list[Row] = []
    for number, pair in enumerate(value if isinstance(value, list) else [value], start=1):
        texts = pair if isinstance(pair, list | tuple) else []
        if len(texts) != 2 or not all(isinstance(text, str) and text.strip() for text in texts):
            return Problem(f"history {number} is {shown(pair)}", fix='expected [["question", "answer"], ...]')
        turns += [{"role": "user", "content": texts[0]}, {"role": "assistant", "content": texts[1]}]
    return turns


def _takes_sharegpt(row: Row, columns: Columns) -> dict[str, str]:
    column = _turns_column(row, columns) or TURN_LISTS[0]
    return {column: "messages", "system": "system message", "tools": "refused unless empty"}


def _takes_alpaca(_row: Row, columns: Columns) -> dict[str, str]:
    instruction, output = _alpaca_names(columns)
    return {
        instruction: "prompt",
        "input": "prompt, below the instruction",
        output: "completion",
        "system": "system message",
        "history": "earlier turns",
    }


FORMATS: dict[str, Format] = {
    "messages": Format(
        lambda row, columns: columns.messages in row and not _is_turn_list(row[columns.messages]),
        lambda _row, columns: {columns.messages: "messages"},
        _keep("messages"),
    ),
    "sharegpt": Format(
        lambda row, columns: _turns_column(row, columns) is not None,
        _takes_sharegpt,
        _sharegpt,
    ),
    "prompt_completion": Format(
        lambda row, columns: columns.prompt in row and columns.completion in row,
        lambda _row, columns: {columns.prompt: "prompt", columns.completion: "completion"},
        _keep("prompt", "completion"),
    ),
    "alpaca": Format(
        lambda row, columns: all(name in row for name in _alpaca_names(columns)),
        _takes_alpaca,
        _alpaca,
    ),
    "turns": Format(
        lambda row, _columns: "turns" in row,
        lambda _row, _columns: {"turns": "turns"},
        lambda row, _columns: _missing(row, "turns") or {"turns": row["turns"]},
    ),
    "text": Format(
        lambda row, columns: columns.text in row,
        lambda _row, columns: {columns.text: "text"},
        _keep("text"),
    ),
}
