"""Token by token, many rows at once: nothing read twice, and rows whose reply has ended leave.

What prompts begin with together (a persona, a place) is read once. All rows are equally wide; what is missing is
masked, before the shared beginning and between it and the rest.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from eterna.config import GenerationSection
from eterna.models.cache import RoomyLayer, has_cache, inner_model, make_cache

LEAVE = 8  # ended rows leave when they are one in so many: each time, the cache of the others is copied
SHARED = 16  # tokens; a shorter beginning is not worth a reading of its own
READ = 4096  # tokens at a time: what a layer computes of them is alive together
WORTH = 0.8  # of the tokens read without sharing, padding included


def decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    generation: GenerationSection,
    stop: Sequence[int],
    seeds: Sequence[int],
    on_token: Callable[[int], None] | None = None,
    blanks: Sequence[Sequence[int]] | None = None,
) -> list[list[int]]:
    """The new tokens of each prompt, its stop token included. `on_token` gets those of a single prompt as they come.

    blanks: of each prompt, what is left without what it says, for `guidance_scale`; its last token when left out.
    """
    blanks = blanks or [prompt[-1:] for prompt in prompts]
    if len(prompts) > 1 and not has_cache(model):  # padding might be read there as if it were text
        each = zip(prompts, seeds, blanks, strict=True)
        return [decode(model, [prompt], generation, stop, [seed], None, [blank])[0] for prompt, seed, blank in each]
    choose = Choice(generation, seeds)
    found: list[list[int]] = [[] for _ in prompts]
    ends, active = set(stop), list(range(len(prompts)))
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            guided = generation.guided
            rows = GuidedRows(model, prompts, blanks, generation.guidance_scale) if guided else Rows(model, prompts)
            for _ in range(generation.max_new_tokens):
                chosen = choose(rows.logits(), active)
                for row, token in zip(active, chosen.tolist(), strict=True):
                    if not found[row] or found[row][-1] not in ends:
                        found[row].append(token)
                        if on_token:
                            on_token(token)
                going = [at for at, row in enumerate(active) if found[row][-1] not in ends]
                if not going:
                    break
                rows.add(chosen)
                if len(active) - len(going) >= max(1, len(active) // LEAVE):
                    rows.keep(going)
                    active = [active[at] for at in going]
    finally:
        model.train(was_training)
    return found


class Rows:
    """What the model has read of each row."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        """prompts: of at least one token each."""
        bare = inner_model(model)
        self.model, self.takes = model, inspect.signature(bare.forward).parameters
        self.device = next(model.parameters()).device
        self.cache = make_cache(bare) if has_cache(model) else None
        self.mask = torch.zeros((len(prompts), 0), dtype=torch.long, device=self.device)  # (rows, tokens read)
        self.position = torch.zeros((len(prompts), 1), dtype=torch.long, device=self.device)  # (rows, 1), of the next
        heads = shared_beginnings(prompts) if self._may_share() else None
        if heads:
            self._read_shared([tuple(prompt[:head]) for prompt, head in zip(prompts, heads, strict=True)])
            prompts = [prompt[head:] for prompt, head in zip(prompts, heads, strict=True)]
        self._write(prompts)

    def _may_share(self) -> bool:
        """Whether keys and values may stand anywhere: not where a layer looks back over so many columns."""
        return self.cache is not None and all(type(layer) is RoomyLayer for layer in self.cache.layers)

    def _read_shared(self, heads: Sequence[tuple[int, ...]]) -> None:
        """Read each beginning once; every row then goes on from its own."""
        different = sorted(set(heads))
        self.mask, self.position = self.mask[: len(different)], self.position[: len(different)]
        self._write(different)
        self._read()
        place = {head: row for row, head in enumerate(different)}
        self.keep([place[head] for head in heads])

    def _write(self, texts: Sequence[Sequence[int]]) -> None:
        """Tokens to be read next, padded on the left."""
        width = max(map(len, texts))
        self.ids = torch.tensor([[0] * (width - len(text)) + list(text) for text in texts], device=self.device)
        marks = torch.tensor([[0] * (width - len(text)) + [1] * len(text) for text in texts], device=self.device)
        self.mask = torch.cat([self.mask, marks], 1)
        self.positions = self.position + (marks.cumsum(1) - 1).clamp(min=0)  # (rows, unread tokens)
        self.position = self.positions[:, -1:] + 1

    def _read(self) -> Any:
        """Logits (rows, 1 or more, vocabulary) after what is unread; by columns, where there is much of it."""
        rows, width = self.ids.shape
        step = max(1, READ // rows) if self.cache is not None else width
        read = self.mask.shape[1] - width
        for start in range(0, width, step):
            end = min(start + step, width)
            given = {"input_ids": self.ids[:, start:end], "attention_mask": self.mask[:, : read + end]}
            if self.cache is not None:
                given["past_key_values"] = self.cache
            if "position_ids" in self.takes:
                given["position_ids"] = self.positions[:, start:end]
            if "logits_to_keep" in self.takes:
                given["logits_to_keep"] = 1
            logits = self.model(**given, use_cache=self.cache is not None).logits
        return logits

    def logits(self) -> Tensor:
        """Read what is unread; float32 logits (rows, vocabulary) of the token after it."""
        logits: Tensor = self._read()[:, -1]
        return logits.float()

    def add(self, tokens: Tensor) -> None:
        """One token more for each row: tokens (rows,)."""
        before, positions = self.ids, self.positions
        self.ids, self.positions = tokens[:, None], self.position
        if self.cache is None:  # everything is read again
            self.ids, self.positions = torch.cat([before, self.ids], 1), torch.cat([positions, self.positions], 1)
        self.mask = torch.cat([self.mask, torch.ones_like(tokens[:, None])], 1)
        self.position = self.position + 1

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; one may stand for several."""
        index = torch.tensor(list(rows), device=self.device)
        self.ids, self.positions = self.ids[index], self.positions[index]
        self.mask, self.position = self.mask[index], self.position[index]
        if self.cache is not None:
            self.cache.reorder_cache(index)


class GuidedRows:
    """Rows that are led away from what the model would say without their prompts.

    Classifier-free guidance, Sanchez et al. 2023 (arXiv:2306.17806), as in transformers' `generate`: a token's log
    probability grows by `scale - 1` times what the prompt adds to it.
    """

    def __init__(
        self, model: Any, prompts: Sequence[Sequence[int]], blanks: Sequence[Sequence[int]], scale: float
    ) -> None:
        self.asked, self.blank, self.scale = Rows(model, prompts), Rows(model, blanks), scale

    def logits(self) -> Tensor:
        """Guided log probabilities (rows, vocabulary), not normalized."""
        asked, blank = self.asked.logits().log_softmax(-1), self.blank.logits().log_softmax(-1)
        return blank + self.scale * (asked - blank)

    def add(self, tokens: Tensor) -> None:
        """One token more for each row: tokens (rows,)."""
        self.asked.add(tokens)
        self.blank.add(tokens)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order."""
        self.asked.keep(rows)
        self.blank.keep(rows)


class Choice:
    """The next token of each row: the likeliest, or drawn by the row's own generator (nucleus sampling, top-p).

    Holtzman et al. 2020 (arXiv:1904.09751): from the likeliest tokens that together reach a probability of top_p.
    The penalties are those of OpenAI's API and of vLLM: a token's logit falls by `frequency_penalty` for each time that
    the reply has it, and by `presence_penalty` once it has it; what the prompt says does not count.
    """

    def __init__(self, generation: GenerationSection, seeds: Sequence[int]) -> None:
        self.temperature, self.top_p = generation.temperature, generation.top_p
        self.frequency, self.presence = generation.frequency_penalty, generation.presence_penalty
        self.draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.said: Tensor | None = None  # (rows, vocabulary), how often; None as long as no penalty asks

    def __call__(self, logits: Tensor, rows: Sequence[int]) -> Tensor:
        """Token ids (rows,) by logits (rows, vocabulary); `rows` are their numbers from the beginning."""
        if not (self.frequency or self.presence):
            return self._draw(logits, rows)
        if self.said is None:
            self.said = torch.zeros((len(self.draws), logits.shape[-1]), device=logits.device)
        index = torch.tensor(list(rows), device=logits.device)
        said = self.said[index]
        tokens = self._draw(logits - self.frequency * said - self.presence * (said > 0), rows)
        self.said[index, tokens] += 1
        return tokens

    def _draw(self, logits: Tensor, rows: Sequence[int]) -> Tensor:
        if self.temperature == 0:
            return logits.argmax(-1)
        likely, tokens = torch.softmax(logits / self.temperature, -1).sort(descending=True, stable=True)
        likely = likely.double()
        reached = likely.cumsum(-1)  # (rows, vocabulary)
        kept = ((reached - likely) < self.top_p).sum(-1, keepdim=True)  # (rows, 1), at least one
        drawn = torch.stack([torch.rand((), generator=self.draws[row], dtype=torch.float64) for row in rows])
        aim = drawn[:, None].to(reached.device) * reached.gather(-1, kept - 1)
        place = torch.minimum((reached <= aim).sum(-1, keepdim=True), kept - 1)
        return tokens.gather(-1, place).squeeze(-1)


def shared_beginnings(prompts: Sequence[Sequence[int]]) -> list[int] | None:
    """How many of its first tokens each prompt reads together with others; None where that saves too little.

    At least one token of each prompt stays for itself.
    """
    order = sorted(range(len(prompts)), key=lambda row: tuple(prompts[row]))
    groups: list[tuple[list[int], int]] = []  # rows, and with how many tokens they all begin
    for row in order:
        length = len(prompts[row]) - 1
        if groups:
            rows, common = groups[-1]
            both = min(_common(prompts[rows[-1]], prompts[row]), common, length)
            if both >= SHARED and len(rows) * both >= (len(rows) - 1) * common:
                groups[-1] = ([*rows, row], both)
                continue
        groups.append(([row], length))
    tails = [len(prompts[row]) - common for rows, common in groups if len(rows) > 1 for row in rows]
    if not tails:
        return None
    heads = {
        row: common if len(rows) > 1 else min(common, max(1, len(prompts[row]) - max(tails)))
        for rows, common in groups
        for row in rows
    }
    found = [heads[row] for row in range(len(prompts))]
    rest = max(len(prompts[row]) - heads[row] for row in order)
    read = len(groups) * max(found) + len(prompts) * rest
    if min(found) < 1 or read > WORTH * len(prompts) * max(map(len, prompts)):
        return None
    return found


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """With how many tokens both begin."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))
