"""From messages or text to token ids with a loss weight for each.

Legend: ids, weights: (length,). A weight is above 0 where the token is learnt, 0 where it is only context.

A conversation is rendered by the tokenizer's own chat template and tokenized once. The answers are found by rendering
its beginnings: what the template adds between "... now answer" and "... answered" is the answer. Each answer is trained
up to and with its stop token; what the template writes after the stop token is context. Where a template writes earlier
turns another way once later ones are there, each answer is an example of its own, after the prompt it has in use.

Control tokens that somebody typed stay text: they are hidden from the template and tokenized as plain characters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eterna.data.templates import FIX, Failure, Request, TemplateError, renderer_of
from eterna.errors import Problem
from eterna.text import shown
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
class Encoded:
    """One example as the model gets it."""

    id: str
    ids: tuple[int, ...]
    """(length,) token ids."""
    weights: tuple[float, ...]
    """(length,) loss weight of each token; the first is always 0: nothing predicts it."""
    trained_bytes: int
    """UTF-8 bytes of the text that the trained tokens stand for; stop tokens stand for none."""
    group: str = ""
    """What the example belongs to; intervals are taken over groups."""
    slices: tuple[str, ...] = ()
    """What figures are also given for, such as `voice: abel`."""

    @property
    def trained(self) -> int:
        """Number of tokens that carry loss."""
        return sum(weight > 0 for weight in self.weights)


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


class Encoder:
    """Turns conversations and texts into tokens, by one tokenizer and its chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        control = {token.content for token in added.values() if token.special} | set(tokenizer.all_special_tokens)
        self.control = sorted(control, key=lambda token: (-len(token), token))
        self.specials = {int(item) for item, token in added.items() if token.special} | set(tokenizer.all_special_ids)

    def render(self, messages: Sequence[Message], reply_next: bool = False) -> str:
        """The conversation as the chat template writes it; `reply_next` adds the opening of an answer.

        Raises TemplateError where the template refuses it.
        """
        return self._rendered(messages, reply_next).text

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation that waits for an answer: what chat and probes feed the model.

        Raises TemplateError where the template refuses it.
        """
        return self._tokenize(self._rendered(messages, reply_next=True))[0]

    def stop_tokens(self, generation_config: Any = None) -> list[int]:
        """Ids that end a reply: the tokenizer's end of text, the generation config's, the template's own."""
        configured = getattr(generation_config, "eos_token_id", None)
        found = [self.tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])]
        found.append(self.traits.stop)
        return list(dict.fromkeys(int(item) for item in found if item is not None))

    def template_problem(self) -> Problem | None:
        """What keeps the chat template from training conversations, found on small ones."""
        if self.traits.problem:
            return Problem(self.traits.problem, fix=FIX)
        if self.traits.stop is None:
            return Problem(
                "the chat template ends an answer with no stop token, so the model would never learn to stop",
                fix="let the template write the end-of-turn token after each answer",
            )
        return None

    @cached_property
    def traits(self) -> Traits:
        """What the chat template can write."""
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
        stop = next((token for token in self._tokenize(Rendered(tail))[0] if token in self.specials), None)
        return Traits(_holds(with_system, trials[1]), _holds(opening, trials[2]), stop)

    def messages(
        self, name: str, messages: Sequence[Message], train_on: str = "answers", group: str = "", weight: float = 1.0
    ) -> list[Encoded] | Problem:
        """Encode a conversation: one example, or one for each answer where the template rewrites earlier turns.

        train_on: `answers`, or `all` for loss on every token but the first. weight: of the whole example, times those
        of its answers.
        """
        blocks = _opened(messages)
        answers = [number for number, block in enumerate(blocks) if block.role == "assistant"]
        wanted = [(len(blocks), False)] + [ask for number in answers for ask in ((number, True), (number + 1, False))]
        rendered = self._render_blocks([(blocks[:end], reply_next) for end, reply_next in wanted])
        if isinstance(rendered, Problem):
            return rendered
        whole, before, through = rendered[0], rendered[1::2], rendered[2::2]
        if train_on == "all":
            ids, offsets = self._tokenize(whole)
            return [self._encoded(name, ids, dict.fromkeys(range(1, len(ids)), weight), whole.text, offsets, group)]
        turns = [(before[place], through[place], blocks[number]) for place, number in enumerate(answers)]
        if all(whole.opens_with(prompt) and whole.opens_with(answered) for prompt, answered, _ in turns):
            found = [self._answered(name, whole, turns, group, weight)]
        else:
            found = [
                self._answered(f"{name}@{block.first}", answered, [(prompt, answered, block)], group, weight)
                for prompt, answered, block in turns
                if any(one > 0 for _, one in block.pieces)
            ]
        return next((one for one in found if isinstance(one, Problem)), None) or [
            one for one in found if isinstance(one, Encoded)
        ]

    def text(self, name: str, text: str, group: str = "", weight: float = 1.0) -> Encoded:
        """Encode plain text: every token but the first is trained, and the end-of-text token after it."""
        encoding = self.tokenizer(text, add_special_tokens=True, return_offsets_mapping=True)
        ids, offsets = list(encoding["input_ids"]), list(encoding["offset_mapping"])
        end = self.tokenizer.eos_token_id
        if end is not None and ids[-1:] != [end]:
            ids.append(end)
            offsets.append((len(text), len(text)))
        return self._encoded(name, ids, dict.fromkeys(range(1, len(ids)), weight), text, offsets, group)

    def _answered(
        self, name: str, whole: Rendered, turns: Sequence[tuple[Rendered, Rendered, Block]], group: str, weight: float
    ) -> Encoded | Problem:
        """One example from `whole`, with loss on its answers: (prompt, prompt and answer, what was said) each."""
        ids, offsets = self._tokenize(whole)
        trained: dict[int, float] = {}
        for prompt, answered, block in turns:
            if not whole.opens_with(prompt):
                fix = "use a template whose generation prompt is how it begins an answer"
                return Problem(f"the chat template opens the answer of message {block.first + 1} another way", fix=fix)
            ends = _piece_ends(whole.text, len(prompt.text), len(answered.text), block)
            if ends is None:
                fix = "write the answer as the template does, or use another template"
                return Problem(f"the chat template changes the text of message {block.first + 1}", fix=fix)
            places = self._answer_tokens(ids, offsets, len(prompt.text), ends[-1])
            if not places or ids[places[-1]] not in self.specials:
                fix = "let the chat template write one after each answer"
                return Problem("an answer does not end in a stop token", fix=fix)
            if self._tokenize(prompt)[0] != ids[: places[0]]:
                return Problem(
                    f"the answer {shown(block.content)} is tokenized differently after its prompt than in use",
                    fix="remove blank signs at the start of the answer",
                )
            for place in places:
                piece = next((number for number, end in enumerate(ends) if offsets[place][0] < end), len(ends) - 1)
                trained[place] = weight * block.pieces[piece][1]
        return self._encoded(name, ids, trained, whole.text, offsets, group)

    def _answer_tokens(self, ids: Sequence[int], offsets: Sequence[Span], start: int, end: int) -> list[int]:
        """Positions of an answer's tokens, up to and with the first special token after its text ends."""
        found = []
        for index, (left, right) in enumerate(offsets):
            special = ids[index] in self.specials
            if left >= start and (right > left or special):
                found.append(index)
                if special and left >= end:
                    break
        return found

    def _rendered(self, messages: Sequence[Message], reply_next: bool) -> Rendered:
        found = self._render_blocks([(_opened(messages), reply_next)])
        if isinstance(found, Problem):
            raise TemplateError(found)
        return found[0]

    def _render_blocks(self, wanted: Sequence[tuple[Sequence[Block], bool]]) -> list[Rendered] | Problem:
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

    def _tokenize(self, rendered: Rendered) -> tuple[list[int], list[Span]]:
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

    def _encoded(
        self,
        name: str,
        ids: Sequence[int],
        trained: dict[int, float],
        text: str,
        offsets: Sequence[Span],
        group: str,
    ) -> Encoded:
        weights = [0.0] * len(ids)
        spans: list[Span] = []
        for index, weight in trained.items():
            weights[index] = weight
            if weight > 0 and ids[index] not in self.specials:
                spans.append((offsets[index][0], offsets[index][1]))
        return Encoded(name, tuple(ids), tuple(weights), _bytes_covered(text, spans), group)


def suit_template(tokenizer: Any, openings: Collection[tuple[str, ...]]) -> list[str]:
    """Make the chat template write what conversations open with, in place: it is saved with the model as it is then.

    openings: the roles of the first two messages of conversations. Returns one line for each repair.
    """
    traits = Encoder(tokenizer).traits
    repairs = []
    if not traits.system and any(roles[0] == "system" for roles in openings):
        repairs.append((FOLD_SYSTEM, "it has no system turn: that text now opens the user's first"))
    if not traits.opening and ("system", "assistant") in openings:
        repairs.append((OPEN_FIRST, f"it wants the user first: before an opening answer the user says {OPENING}"))
    if traits.problem or not repairs:
        return []
    tokenizer.chat_template = "".join([*(code for code, _ in reversed(repairs)), str(tokenizer.chat_template)])
    return [f"chat template: {note}" for _, note in repairs]


def _opened(messages: Sequence[Message]) -> list[Block]:
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


def _piece_ends(text: str, start: int, end: int, block: Block) -> list[int] | None:
    """Where each turn of an answer ends in `text[start:end]`; None where the template wrote it another way."""
    ends = []
    for piece, _ in block.pieces:
        found = text.find(piece.strip(), start, end)
        if found < 0:
            return None
        start = found + len(piece.strip())
        ends.append(start)
    return ends


def _bytes_covered(text: str, spans: Iterable[Span]) -> int:
    """UTF-8 bytes under the union of character spans; tokens that share a character count it once."""
    total, reached = 0, 0
    for start, end in sorted(spans):
        total += len(text[max(start, reached) : max(end, reached)].encode("utf-8"))
        reached = max(reached, end)
    return total
