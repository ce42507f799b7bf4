"""Replies to fixed prompts: the same items with the same seeds, whichever model answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from eterna.config import GenerationSection
from eterna.data import Encoder, Item
from eterna.evaluation.canon import Rules
from eterna.models import Generated, generate_all
from eterna.seeding import seed_for


def answer_items(
    model: Any,
    tokenizer: Any,
    items: Sequence[Item],
    generation: GenerationSection,
    rules: Rules | None = None,
) -> list[Generated]:
    """One reply per item, in the order given; each with a seed of its own, whatever else is asked.

    rules: what breaks them is drawn anew, `generation.redraws` times at most; the last draw stands, whatever it says.
    """
    encoder = Encoder(tokenizer)
    stop = encoder.stop_tokens(model.generation_config)

    def draw(asked: Sequence[Item], turn: int) -> list[Generated]:
        seeds = [seed_for(generation.seed, item.id, *redraw_name(turn)) for item in asked]
        prompts = [item.prompt_ids for item in asked]
        blanks = [encoder.blank(prompt) for prompt in prompts] if generation.guided else None
        return generate_all(model, tokenizer, prompts, generation, stop, seeds, blanks)

    replies = draw(items, 0)
    broken = list(range(len(items)))
    for turn in range(1, generation.redraws + 1):
        broken = [at for at in broken if rules and rules.broken_by(replies[at].text, items[at].scene.known)]
        if not broken:
            break  # a draw of nothing would merge the adapters all the same
        for place, reply in zip(broken, draw([items[place] for place in broken], turn), strict=True):
            replies[place] = replace(reply, redrawn=turn)
    return replies


def redraw_name(turn: int) -> tuple[str, ...]:
    """What the seed of a further draw is also named after; nothing for the first."""
    return (f"redraw {turn}",) if turn else ()


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
