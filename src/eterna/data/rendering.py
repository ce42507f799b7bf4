"""A conversation as the chat template writes it, and its tokens.

Control tokens that somebody typed stay text: they are hidden from the template behind private-use signs, and tokenized
as plain characters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from eterna.data.templates import FIX, Failure, Request, TemplateError, renderer_of
from eterna.errors import Problem
from eterna.world import Block, Message, arrange

Span = tuple[int, int]
OPENING = "…"
"""What the user says where an answer opens the conversation and the template wants a user first."""
FOLD_SYSTEM = (
    "{%- if messages[0]['role'] == 'system' and messages|length > 1 -%}{%- set messages = [{'role': 'user', 'content':"
    " messages[0]['content'] + '\\n\\n' + messages[1]['content']}] + messages[2:] -%}{%- endif -%}"
)
OPEN_FIRST = (
    "{%- if messages[0]['role'] == 'system' and (messages|length == 1 or messages[1]['role'] == 'assistant') -%}"
    "{%- set messages = messages[:1] + [{'role': 'user', 'content': '" + OPENING + "'}] + messages[1:] -%}"
    "{%- endif -%}"
)
HIDING_PLACES = (0xF0000, 0x100000)  # private-use planes of Unicode


@dataclass(frozen=True)
class Rendered:
    """A conversation as the chat template writes it."""

    text: str
    typed: tuple[Span, ...] = ()
    """Where somebody typed the name of a control token."""

    def opens_with(self, other: Rendered) -> bool:
        """Whether it begins with all of another."""
        return self.text.startswith(other.text)


@dataclass(frozen=True)
class Traits:
    """What a chat template can write, found by rendering small conversations."""

    system: bool
    """A system message."""
    opening: bool
    """An answer between system and user."""
    stop: int | None
    """The token that ends an answer."""
    problem: str | None = None


class Writer:
    """Writes and tokenizes conversations by one tokenizer and its chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        control = {token.content for token in added.values() if token.special} | set(tokenizer.all_special_tokens)
        self.control = sorted(control, key=lambda token: (-len(token), token))
        self.specials = {int(item) for item, token in added.items() if token.special} | set(tokenizer.all_special_ids)

    @property
    def traits(self) -> Traits:
        """What the chat template can write, found out once."""
        renderer = renderer_of(self.tokenizer)
        if renderer.traits is None:
            renderer.traits = self._try_out()
        found: Traits = renderer.traits
        return found

    def _try_out(self) -> Traits:
        ask: Message = {"role": "user", "content": "player text"}
        answer: Message = {"role": "assistant", "content": "answer text"}
        asked: Message = {"role": "user", "content": "another question"}
        said: Message = {"role": "assistant", "content": "another answer"}
        system: Message = {"role": "system", "content": "persona text"}
        trials = [[ask, answer, asked, said], [system, ask, answer], [system, answer, ask, said]]
        try:
            texts = renderer_of(self.tokenizer).render([(_plain(arrange(trial)), False) for trial in trials])
        except TemplateError as error:
            return Traits(True, True, None, error.problems[0].message)
        plain, with_system, opening = texts
        if isinstance(plain, Failure):
            return Traits(True, True, None, f"the chat template fails: {plain.message}")
        if lost := next((one for one in trials[0] if one["content"] not in plain), None):
            return Traits(True, True, None, f"the chat template does not write what the {lost['role']} says")
        tail = plain.rpartition(said["content"])[2]
        stop = next((token for token in self.tokenize(Rendered(tail))[0] if token in self.specials), None)
        return Traits(_holds(with_system, trials[1]), _holds(opening, trials[2]), stop)

    def write(self, wanted: Sequence[tuple[Sequence[Block], bool]]) -> list[Rendered] | Problem:
        """Each list of blocks as the template writes it, or what it says against one of them."""
        said = "".join(block.content for blocks, _ in wanted for block in blocks)
        typed = [token for token in self.control if token in said]
        hidden = _hiding_signs(said, typed)
        if hidden is None:
            return Problem("the text holds control tokens and private-use signs of Unicode", fix="remove either")
        requests: list[Request] = []
        for blocks, reply_next in wanted:
            messages = _plain(blocks)
            for message in messages:
                for token, sign in hidden.items():
                    message["content"] = message["content"].replace(token, sign)
            requests.append((messages, reply_next))
        texts = renderer_of(self.tokenizer).render(requests)
        if failure := next((text for text in texts if isinstance(text, Failure)), None):
            return Problem(f"the chat template fails: {failure.message}", fix=FIX)
        return [_uncover(text, hidden) for text in texts if isinstance(text, str)]

    def tokenize(self, rendered: Rendered) -> tuple[list[int], list[Span]]:
        """Ids and character spans of rendered text, nothing added; typed control tokens as plain characters."""
        encoding = self.tokenizer(rendered.text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = list(encoding["input_ids"]), [(left, right) for left, right in encoding["offset_mapping"]]
        if not rendered.typed:
            return ids, offsets
        plain_ids: list[int] = []
        plain_offsets: list[Span] = []
        for item, (left, right) in zip(ids, offsets, strict=True):
            if item in self.specials and any(left < end and start < right for start, end in rendered.typed):
                text = rendered.text[left:right]
                found = self.tokenizer(
                    text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
                )
                plain_ids += found["input_ids"]
                plain_offsets += [(left + start, left + end) for start, end in found["offset_mapping"]]
            else:
                plain_ids.append(item)
                plain_offsets.append((left, right))
        return plain_ids, plain_offsets


def suit_template(tokenizer: Any, openings: Collection[tuple[str, ...]]) -> list[str]:
    """Make the chat template write what conversations open with, in place: it is saved with the model as it is then.

    openings: the roles of the first two messages of conversations. Returns one line for each repair.
    """
    traits = Writer(tokenizer).traits
    repairs = []
    if not traits.system and any(roles[0] == "system" for roles in openings):
        repairs.append((FOLD_SYSTEM, "it has no system turn: that text now opens the user's first"))
    if not traits.opening and ("system", "assistant") in openings:
        repairs.append((OPEN_FIRST, f"it wants the user first: before an opening answer the user says {OPENING}"))
    if traits.problem or not repairs:
        return []
    tokenizer.chat_template = "".join([*(code for code, _ in reversed(repairs)), str(tokenizer.chat_template)])
    return [f"chat template: {note}" for _, note in repairs]


def opened(messages: Sequence[Message]) -> list[Block]:
    """The blocks that the template gets: where nobody has spoken before an answer, the user says `…`."""
    blocks = arrange(messages)
    if not blocks or blocks[0].role == "assistant":
        blocks.insert(0, Block("user", ((OPENING, 1.0),), 0))
    return blocks


def _plain(blocks: Iterable[Block]) -> list[dict[str, str]]:
    return [{"role": block.role, "content": block.content} for block in blocks]


def _holds(text: str | Failure, messages: Sequence[Message]) -> bool:
    return isinstance(text, str) and all(message["content"] in text for message in messages)


def _hiding_signs(text: str, tokens: Sequence[str]) -> dict[str, str] | None:
    """A private-use sign for each control token, none of which stands in the text; None where there is no room."""
    for base in HIDING_PLACES:
        signs = {token: chr(base + number) for number, token in enumerate(tokens)}
        if not any(sign in text for sign in signs.values()):
            return signs
    return None


def _uncover(text: str, hidden: dict[str, str]) -> Rendered:
    """The text with the control tokens back in it, and where they stand."""
    if not hidden:
        return Rendered(text)
    tokens = {sign: token for token, sign in hidden.items()}
    found: list[str] = []
    spans: list[Span] = []
    length = 0
    for sign in text:
        part = tokens.get(sign, sign)
        if part is not sign:
            spans.append((length, length + len(part)))
        found.append(part)
        length += len(part)
    return Rendered("".join(found), tuple(spans))
