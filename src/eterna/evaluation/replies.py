"""Replies to fixed prompts: the same items, in the same batches, with the same seeds, whichever model answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eterna.config import GenerationSection
from eterna.data import Encoder, Item
from eterna.models import Generated, generate_batch
from eterna.seeding import seed_for


def answer_items(
    model: Any, tokenizer: Any, items: Sequence[Item], generation: GenerationSection, batch_size: int = 8
) -> list[Generated]:
    """One reply per item, in the order given. Batches go by prompt length; each has a seed of its own."""
    stop = Encoder(tokenizer).stop_tokens(model.generation_config)
    order = sorted(range(len(items)), key=lambda place: len(items[place].prompt_ids))
    replies: dict[int, Generated] = {}
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        own = generation.model_copy(update={"seed": seed_for(generation.seed, items[places[0]].id)})
        prompts = [items[place].prompt_ids for place in places]
        replies.update(zip(places, generate_batch(model, tokenizer, prompts, own, stop), strict=True))
    return [replies[place] for place in range(len(items))]


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
