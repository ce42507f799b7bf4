"""From messages or text to token ids with a loss weight for each.

Legend: ids, weights: (length,). A weight is above 0 where the token is learnt, 0 where it is only context.

A conversation is rendered by the tokenizer's own chat template and tokenized once. The answers are found by rendering
its beginnings: what the template adds between "... now answer" and "... answered" is the answer. Each answer is trained
up to and with its stop token; what the template writes after the stop token is context. Where a template writes earlier
turns another way once later ones are there, each answer is an example of its own, after the prompt it has in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eterna.data.rendering import OPENING, Rendered, Span, Writer, opened
from eterna.data.templates import FIX, TemplateError
from eterna.errors import Problem
from eterna.text import shown
from eterna.world import Block, Message


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
    cut: int = 0
    """Tokens cut off its left to make it fit the window."""

    @property
    def trained(self) -> int:
        """Number of tokens that carry loss."""
        return sum(weight > 0 for weight in self.weights)


class Encoder:
    """Turns conversations and texts into tokens, by one tokenizer and its chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.writer = Writer(tokenizer)

    @property
    def specials(self) -> set[int]:
        """Ids of all special tokens."""
        return self.writer.specials

    def render(self, messages: Sequence[Message], reply_next: bool = False) -> str:
        """The conversation as the chat template writes it; `reply_next` adds the opening of an answer.

        Raises TemplateError where the template refuses it.
        """
        return self._rendered(messages, reply_next).text

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation that waits for an answer: what chat and probes feed the model.

        Raises TemplateError where the template refuses it.
        """
        return self.writer.tokenize(self._rendered(messages, reply_next=True))[0]

    def blank(self, prompt: Sequence[int]) -> list[int]:
        """What is left of a prompt without what it says: the beginning of a text, and the opening of an answer.

        The prompt's last token stands for the opening where the prompt does not end as a conversation does.
        """
        opening = self._opening or list(prompt[-1:])
        end = opening if list(prompt[-len(opening) :]) == opening else list(prompt[-1:])
        begin = self.tokenizer.bos_token_id
        return ([begin] if begin is not None and prompt[0] == begin and len(prompt) > len(end) else []) + end

    @cached_property
    def _opening(self) -> list[int]:
        """With what the chat template opens an answer; empty where it has nothing for that, fails, or there is none."""
        if not self.tokenizer.chat_template:
            return []
        said = opened([{"role": "user", "content": OPENING}])
        found = self.writer.write([(said, False), (said, True)])
        if isinstance(found, Problem):
            return []
        before, after = (self.writer.tokenize(rendered)[0] for rendered in found)
        return after[len(before) :] if after[: len(before)] == before else []

    def stop_tokens(self, generation_config: Any = None) -> list[int]:
        """Ids that end a reply: the tokenizer's end of text, the generation config's, the template's own."""
        configured = getattr(generation_config, "eos_token_id", None)
        found = [self.tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])]
        found.append(self.writer.traits.stop)
        return list(dict.fromkeys(int(item) for item in found if item is not None))

    def template_problem(self) -> Problem | None:
        """What keeps the chat template from training conversations, found on small ones."""
        if self.writer.traits.problem:
            return Problem(self.writer.traits.problem, fix=FIX)
        if self.writer.traits.stop is None:
            return Problem(
                "the chat template ends an answer with no stop token, so the model would never learn to stop",
                fix="let the template write the end-of-turn token after each answer",
            )
        return None

    def messages(
        self, name: str, messages: Sequence[Message], train_on: str = "answers", group: str = "", weight: float = 1.0
    ) -> list[Encoded] | Problem:
        """Encode a conversation: one example, or one for each answer where the template rewrites earlier turns.

        train_on: `answers`, or `all` for loss on every token but the first. weight: of the whole example, times those
        of its answers.
        """
        blocks = opened(messages)
        answers = [number for number, block in enumerate(blocks) if block.role == "assistant"]
        wanted = [(len(blocks), False)] + [ask for number in answers for ask in ((number, True), (number + 1, False))]
        rendered = self.writer.write([(blocks[:end], reply_next) for end, reply_next in wanted])
        if isinstance(rendered, Problem):
            return rendered
        whole, before, through = rendered[0], rendered[1::2], rendered[2::2]
        if train_on == "all":
            ids, offsets = self.writer.tokenize(whole)
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
        ids, offsets = self.writer.tokenize(whole)
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
            if not places or ids[places[-1]] not in self.writer.specials:
                fix = "let the chat template write one after each answer"
                return Problem("an answer does not end in a stop token", fix=fix)
            if self.writer.tokenize(prompt)[0] != ids[: places[0]]:
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
            special = ids[index] in self.writer.specials
            if left >= start and (right > left or special):
                found.append(index)
                if special and left >= end:
                    break
        return found

    def _rendered(self, messages: Sequence[Message], reply_next: bool) -> Rendered:
        found = self.writer.write([(opened(messages), reply_next)])
        if isinstance(found, Problem):
            raise TemplateError(found)
        return found[0]

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
            if weight > 0 and ids[index] not in self.writer.specials:
                spans.append((offsets[index][0], offsets[index][1]))
        return Encoded(name, tuple(ids), tuple(weights), _bytes_covered(text, spans), group)


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
