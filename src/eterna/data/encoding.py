"""From messages or text to token ids with a loss weight for each.

Legend: ids, weights: (length,). A weight is 1.0 where the token is learnt, 0.0 where it is only context.

A conversation is rendered once by the tokenizer's own chat template and tokenized once. The answers are found by
rendering its beginnings: what the template adds between "... now answer" and "... answered" is the answer. Each answer
is trained up to and with its stop token; what the template writes after the stop token is context.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from eterna.errors import Problem
from eterna.text import shown
from eterna.world import Message

Span = tuple[int, int]


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

    @property
    def trained(self) -> int:
        """Number of tokens that carry loss."""
        return sum(weight > 0 for weight in self.weights)


class Encoder:
    """Turns conversations and texts into tokens, by one tokenizer and its chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        self.control = {token.content for token in added.values() if token.special} | set(tokenizer.all_special_tokens)
        self.specials = {int(item) for item, token in added.items() if token.special} | set(tokenizer.all_special_ids)

    def render(self, messages: Sequence[Message], reply_next: bool = False) -> str:
        """The conversation as the chat template writes it; `reply_next` adds the opening of an answer."""
        text: str = self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=reply_next)
        return text

    def tokens(self, rendered: str) -> list[int]:
        """Token ids of rendered text, nothing added."""
        ids: list[int] = self.tokenizer(rendered, add_special_tokens=False)["input_ids"]
        return ids

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation that waits for an answer: what chat and probes feed the model."""
        return self.tokens(self.render(messages, reply_next=True))

    def stop_tokens(self, generation_config: Any = None) -> list[int]:
        """Ids that end a reply: the tokenizer's end of text, the generation config's, the template's own."""
        configured = getattr(generation_config, "eos_token_id", None)
        found = [self.tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])]
        found.append(self._template_stop())
        return list(dict.fromkeys(int(item) for item in found if item is not None))

    def template_problem(self) -> Problem | None:
        """What keeps the chat template from training conversations, found on a small one."""
        try:
            stop = self._template_stop()
        except Exception as error:  # a template is a program of its own: whatever it raises is its mistake
            message = f"the chat template fails: {shown(str(error), 120)}"
            return Problem(message, fix="set another chat template in the model's folder")
        if stop is None:
            return Problem(
                "the chat template ends an answer with no stop token, so the model would never learn to stop",
                fix="let the template write the end-of-turn token after each answer",
            )
        return None

    def control_token(self, text: str) -> str | None:
        """A control token spelt out in typed text, if there is one."""
        return next((token for token in sorted(self.control) if token in text), None)

    def messages(
        self, name: str, messages: Sequence[Message], train_on: str | list[str] = "answers", group: str = ""
    ) -> Encoded | Problem:
        """Encode a conversation. `train_on`: `answers`, or `all` for loss on every token but the first."""
        for number, message in enumerate(messages, start=1):
            if token := self.control_token(message["content"]):
                fix = "remove it: typed text must not steer the model"
                return Problem(f"message {number} holds the control token {shown(token)}", fix=fix)
        text = self.render(messages)
        encoding = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
        spans = self._answer_spans(messages, text)
        if isinstance(spans, Problem):
            return spans
        trained: list[int] = []
        for start, end in spans:
            answer = self._answer_tokens(ids, offsets, (start, end))
            if not answer or ids[answer[-1]] not in self.specials:
                fix = "let the chat template write one after each answer"
                return Problem("an answer does not end in a stop token", fix=fix)
            if self.tokens(text[:start]) != ids[: answer[0]]:
                return Problem(
                    f"the answer {shown(text[start:end])} is tokenized differently after its prompt than in use",
                    fix="remove blank signs at the start of the answer",
                )
            trained += answer
        if train_on == "all":
            trained = list(range(1, len(ids)))
        return self._encoded(name, ids, trained, text, offsets, group)

    def text(self, name: str, text: str, group: str = "") -> Encoded:
        """Encode plain text: every token but the first is trained, and the end-of-text token after it."""
        encoding = self.tokenizer(text, add_special_tokens=True, return_offsets_mapping=True)
        ids, offsets = list(encoding["input_ids"]), list(encoding["offset_mapping"])
        end = self.tokenizer.eos_token_id
        if end is not None and ids[-1:] != [end]:
            ids.append(end)
            offsets.append((len(text), len(text)))
        return self._encoded(name, ids, range(1, len(ids)), text, offsets, group)

    def _template_stop(self) -> int | None:
        """The first special token the template writes after an answer's text."""
        mark = "answer text"
        turns: list[Message] = [
            {"role": "user", "content": "player text"},
            {"role": "assistant", "content": mark},
        ]
        tail = self.render(turns).rpartition(mark)[2]
        return next((token for token in self.tokens(tail) if token in self.specials), None)

    def _answer_spans(self, messages: Sequence[Message], text: str) -> list[Span] | Problem:
        """Character spans of the answers in `text`, each with what the template writes to end it."""
        spans = []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self.render(messages[:index], reply_next=True)
            through = self.render(messages[: index + 1])
            if not text.startswith(before) or not text.startswith(through):
                return Problem(
                    f"the chat template rewrites earlier turns once message {index + 1} is there,"
                    " so training would differ from use",
                    fix="use a template that writes each turn once, or conversations with one answer",
                )
            spans.append((len(before), len(through)))
        return spans

    def _answer_tokens(self, ids: Sequence[int], offsets: Sequence[Span], span: Span) -> list[int]:
        """Positions of an answer's tokens, up to and with the first special token."""
        found = []
        for index, (left, right) in enumerate(offsets):
            special = ids[index] in self.specials
            if span[0] <= left and right <= span[1] and (right > left or special):
                found.append(index)
                if special:
                    break
        return found

    def _encoded(
        self,
        name: str,
        ids: Sequence[int],
        trained: Iterable[int],
        text: str,
        offsets: Sequence[Span],
        group: str,
    ) -> Encoded:
        weights = [0.0] * len(ids)
        spans: list[Span] = []
        for index in trained:
            weights[index] = 1.0
            if ids[index] not in self.specials:
                spans.append((offsets[index][0], offsets[index][1]))
        return Encoded(name, tuple(ids), tuple(weights), _bytes_covered(text, spans), group)


def _bytes_covered(text: str, spans: Iterable[Span]) -> int:
    """UTF-8 bytes under the union of character spans; tokens that share a character count it once."""
    total, reached = 0, 0
    for start, end in sorted(spans):
        total += len(text[max(start, reached) : max(end, reached)].encode("utf-8"))
        reached = max(reached, end)
    return total
