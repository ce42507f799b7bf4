"""Replies: greedy or sampled, ended by the stop tokens the model was trained on.

Prompts of about one length are answered together. Each draws from a generator of its own, so a reply depends on the
model, the prompt and its seed, not on what else is asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eterna.config import GenerationSection
from eterna.models.adapting import adapters_merged

CACHE_BYTES = 256 * 2**20  # of keys and values at a time
MOST_ROWS = 128


@dataclass(frozen=True)
class Generated:
    """One reply."""

    text: str
    tokens: int
    """New tokens, the stop token included."""
    stopped: bool
    """Whether it ended by itself, not by the length limit."""
    redrawn: int = 0
    """How many draws before it broke the canon (`generation.redraws`)."""


def generate(
    model: Any,
    tokenizer: Any,
    prompt_ids: Sequence[int],
    generation: GenerationSection,
    stop: Sequence[int],
    on_text: Callable[[str], None] | None = None,
    blank: Sequence[int] | None = None,
) -> Generated:
    """Answer one prompt. `on_text` gets pieces of the reply as they come.

    blank: what is left of the prompt without what it says, for `generation.guidance_scale`; its last token when left
    out. The model's mode and torch's random state are left as they were.
    """
    import torch

    from eterna.models.decoding import decode

    streamer = _streamer(tokenizer, on_text) if on_text else None
    if streamer:
        streamer.put(torch.tensor(list(prompt_ids)))
    put = (lambda token: streamer.put(torch.tensor([token]))) if streamer else None
    new = decode(model, [prompt_ids], generation, stop, [generation.seed], put, [blank] if blank else None)[0]
    if streamer:
        streamer.end()
    return _reply(tokenizer, new, stop)


def generate_all(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    generation: GenerationSection,
    stop: Sequence[int],
    seeds: Sequence[int],
    blanks: Sequence[Sequence[int]] | None = None,
) -> list[Generated]:
    """Answer all prompts, each as if it were alone, with a seed of its own; blanks as in `generate`, of each.

    The model's mode and torch's random state are left as they were. Greedy replies are those of transformers'
    `generate`, up to its rounding.
    """
    from eterna.models.decoding import decode

    replies: dict[int, Generated] = {}
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]), reverse=True)
    with adapters_merged(model):
        while order:
            most = rows_at_once(model, len(prompts[order[0]]) + held_tokens(generation))
            count = math.ceil(len(order) / math.ceil(len(order) / most))
            places, order = order[:count], order[count:]
            asked, drawn = [prompts[at] for at in places], [seeds[at] for at in places]
            bare = [blanks[at] for at in places] if blanks else None
            found = decode(model, asked, generation, stop, drawn, None, bare)
            replies.update((at, _reply(tokenizer, new, stop)) for at, new in zip(places, found, strict=True))
    return [replies[place] for place in range(len(prompts))]


def held_tokens(generation: GenerationSection) -> int:
    """Tokens of a reply that are kept in memory at most: twice where it is also read without its prompt."""
    return generation.max_new_tokens * (2 if generation.guided else 1)


def rows_at_once(model: Any, tokens: int) -> int:
    """How many rows of so many tokens are answered together."""
    one = cached_bytes(model.config, next(model.parameters()).element_size()) * tokens
    return max(1, min(MOST_ROWS, CACHE_BYTES // max(one, 1)))


def cached_bytes(config: Any, element: int) -> int:
    """Keys and values of one token in all layers, of elements of so many bytes; 0 for a model without attention."""
    shape = config.get_text_config(decoder=True)
    heads = getattr(shape, "num_attention_heads", None)
    if not heads:
        return 0
    width = getattr(shape, "head_dim", None) or shape.hidden_size // heads
    shared = getattr(shape, "num_key_value_heads", None) or heads
    return int(2 * shape.num_hidden_layers * shared * width * max(element, 2))


def _reply(tokenizer: Any, new: Sequence[int], stop: Sequence[int]) -> Generated:
    text = tokenizer.decode(list(new), skip_special_tokens=True).strip()
    return Generated(text, len(new), new[-1] in set(stop))


def _streamer(tokenizer: Any, on_text: Callable[[str], None]) -> Any:
    from transformers import TextStreamer

    class _Callback(TextStreamer):  # type: ignore[misc]
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            on_text(text)

    return _Callback(tokenizer, skip_prompt=True, skip_special_tokens=True)
