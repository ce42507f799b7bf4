"""Fixed prompts, answered the same way before, during and after training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eterna.config import GenerationSection
from eterna.data import Encoder, Probe
from eterna.models import generate
from eterna.seeding import seed_for


def answer_probes(
    model: Any, tokenizer: Any, probes: Sequence[Probe], generation: GenerationSection, step: int
) -> list[dict[str, Any]]:
    """One row per probe for samples.jsonl."""
    stop = Encoder(tokenizer).stop_tokens(model.generation_config)
    rows = []
    for probe in probes:
        # Each probe has its own seed: with one for all, sampled replies would begin alike.
        own = generation.model_copy(update={"seed": seed_for(generation.seed, probe.id)})
        reply = generate(model, tokenizer, probe.prompt_ids, own, stop)
        rows.append(
            {
                "step": step,
                "probe": probe.id,
                "title": probe.title,
                "messages": list(probe.messages),
                "reply": reply.text,
                "reference": probe.reference,
                "stopped": reply.stopped,
                "tokens": reply.tokens,
            }
        )
    return rows
