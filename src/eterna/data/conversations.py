"""Conversations of data files: messages or named turns, checked, and seen from each voice that answers.

A model answers as one voice. Where several named speakers answer in one conversation, it becomes one example for each
of them: their own turns are answers, everybody else's stand on the user's side with their names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from eterna.errors import Place, Problem
from eterna.text import name_hint, shown
from eterna.world import Message
from eterna.world.prompt import NARRATORS
from eterna.world.schema import PLAYER

ROLES = ("system", "user", "assistant")
PLAYERS = (PLAYER, "user")
MESSAGE_KEYS = {"role", "content", "name", "weight"}
TURN_KEYS = {"speaker", "text", "weight"}
LARGEST_WEIGHT = 1000


def read_messages(value: Any, place: Place, role: str | None = None) -> list[Message] | Problem:
    """A list of {role, content, name?, weight?}; plain text stands for one message of `role`."""
    if isinstance(value, str) and role:
        value = [{"role": role, "content": value}]
    if not isinstance(value, list) or not value:
        return Problem(
            f"expected a list of messages, found {shown(value)}", place, '[{"role": "user", "content": "..."}, ...]'
        )
    found: list[Message] = []
    for number, given in enumerate(map(_filled, value), start=1):
        if not isinstance(given, dict) or set(given) - MESSAGE_KEYS or not {"role", "content"} <= set(given):
            fix = "expected the keys role and content, and name or weight where you need them"
            return Problem(f"message {number} is {shown(given)}", place, fix)
        if given["role"] not in ROLES:
            hint = name_hint(str(given["role"]), ROLES)
            return Problem(f"message {number} has the role {shown(given['role'])}", place, hint)
        message = _message(given["role"], given["content"], given.get("name"), given.get("weight"))
        if isinstance(message, str):
            return Problem(f"message {number} {message}", place, _FIXES[message.split()[2]])
        found.append(message)
    return _conversation_problem(found, place) if role is None else found


def read_turns(value: Any, place: Place) -> list[Message] | Problem:
    """A list of {speaker, text, weight?} as messages: `player` asks, a narrator stands by, all others answer."""
    if not isinstance(value, list) or not value:
        return Problem(
            f"expected a list of turns, found {shown(value)}", place, '[{"speaker": "player", "text": "..."}, ...]'
        )
    found: list[Message] = []
    for number, given in enumerate(value, start=1):
        if not isinstance(given, dict) or set(given) - TURN_KEYS or not {"speaker", "text"} <= set(given):
            return Problem(f"turn {number} is {shown(given)}", place, "expected the keys speaker and text")
        speaker = given["speaker"]
        if not isinstance(speaker, str) or not speaker.strip():
            return Problem(f"turn {number} has the speaker {shown(speaker)}", place, "a name, or player or narrator")
        asks = speaker.lower() in (*PLAYERS, *NARRATORS)
        name = None if speaker.lower() in PLAYERS else speaker
        message = _message("user" if asks else "assistant", given["text"], name, given.get("weight"))
        if isinstance(message, str):
            return Problem(f"turn {number} {message.replace('content', 'text')}", place, _FIXES[message.split()[2]])
        found.append(message)
    return _conversation_problem(found, place)


_FIXES = {
    "content": "expected text",
    "name": "a name is text without a line break",
    "weight": f"a number from 0 to {LARGEST_WEIGHT}; 0 is context only",
}


def _message(role: str, content: Any, name: Any, weight: Any) -> Message | str:
    """A checked message, or what is wrong with it."""
    if not isinstance(content, str) or not content.strip():
        return f"has the content {shown(content)}"
    message: Message = {"role": role, "content": content}
    if name is not None:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            return f"has the name {shown(name)}"
        message["name"] = name.strip()
    if weight is not None:
        if not is_weight(weight):
            return f"has the weight {shown(weight)}"
        message["weight"] = float(weight)
    return message


def _filled(given: Any) -> Any:
    """A message without the keys that say nothing: tables give every message every key."""
    if not isinstance(given, dict):
        return given
    return {key: value for key, value in given.items() if value is not None or key in ("role", "content")}


def is_weight(value: Any) -> bool:
    """Whether a value can be a loss weight."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 <= value <= LARGEST_WEIGHT


def _conversation_problem(messages: list[Message], place: Place) -> list[Message] | Problem:
    return check_conversation(messages, place) or messages


def check_conversation(messages: Sequence[Message], place: Place) -> Problem | None:
    """What keeps a conversation from being learnt, if anything."""
    roles = [message["role"] for message in messages]
    if "system" in roles[1:]:
        number = roles.index("system", 1) + 1
        fix = "a system message stands first; for a stage direction use the role user with the name narrator"
        return Problem(f"message {number} is a system message", place, fix)
    answers = [message for message in messages if message["role"] == "assistant"]
    if not answers:
        fix = "there is nothing to learn from it; remove the line"
        return Problem("the conversation holds no answer (role assistant)", place, fix)
    if roles[-1] != "assistant":
        return Problem(f"the last message is the {roles[-1]}'s", place, "end with an answer (role assistant)")
    if all(message.get("weight", 1.0) == 0 for message in answers):
        return Problem("every answer has the weight 0", place, "leave one above 0, or remove the line")
    named = [message.get("name") for message in answers]
    if None in named and any(named):
        number = next(n for n, one in enumerate(messages, 1) if one["role"] == "assistant" and "name" not in one)
        return Problem(f"message {number} does not say who answers, others do", place, "give every answer a name")
    return None


def views(messages: Sequence[Message]) -> list[tuple[str, tuple[Message, ...]]]:
    """(voice, messages) for each voice that answers with a weight above 0; one voice, maybe unnamed, gets all as is."""
    voices = list(dict.fromkeys(one.get("name", "") for one in messages if one["role"] == "assistant"))
    if len(voices) < 2:
        return [(voices[0], tuple(messages))]
    found = []
    for voice in voices:
        seen: list[Message] = []
        for message in messages:
            other = message["role"] == "assistant" and message.get("name") != voice
            seen.append({"role": "user", "content": message["content"], "name": message["name"]} if other else message)
        view = up_to_last_answer(seen)
        if any(one["role"] == "assistant" and one.get("weight", 1.0) > 0 for one in view):
            found.append((voice, view))
    return found


def up_to_last_answer(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation without what follows the last answer."""
    last = max(number for number, message in enumerate(messages) if message["role"] == "assistant")
    return tuple(messages[: last + 1])
