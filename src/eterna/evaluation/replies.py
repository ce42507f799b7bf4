"""Replies to fixed prompts: the same items with the same seeds, whichever model answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eterna.config import GenerationSection
from eterna.data import Encoder, Item
from eterna.models import Generated, generate_all
from eterna.seeding import seed_for


def answer_items(model: Any, tokenizer: Any, items: Sequence[Item], generation: GenerationSection) -> list[Generated]:
    """One reply per item, in the order given; each with a seed of its own, whatever else is asked."""
    encoder = Encoder(tokenizer)
    stop = encoder.stop_tokens(model.generation_config)
    seeds = [seed_for(generation.seed, item.id) for item in items]
    prompts = [item.prompt_ids for item in items]
    blanks = [encoder.blank(prompt) for prompt in prompts] if generation.guided else None
    return generate_all(model, tokenizer, prompts, generation, stop, seeds, blanks)


def sample_rows(items: Sequence[Item], replies: Sequence[Generated], step: int) -> list[dict[str, Any]]:
    """Rows for samples.jsonl."""
    return [
        {
            "step": step,
            "probe": item.id,
            "title": item.title,
            "messages": list(item.messages),
            "reply": reply.text,
            "reference": item.reference,
            "stopped": reply.stopped,
            "tokens": reply.tokens,
        }
        for item, reply in zip(items, replies, strict=False)
    ]
