"""Replies: greedy or sampled, one prompt at a time, ended by the stop tokens the model was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eterna.config import GenerationSection


@dataclass(frozen=True)
class Generated:
    """One reply."""

    text: str
    tokens: int
    """New tokens, the stop token included."""
    stopped: bool
    """Whether it ended by itself, not by the length limit."""


def sampling_of(generation: GenerationSection) -> dict[str, Any]:
    """The keyword arguments of transformers' `generate` that the generation section stands for."""
    if generation.temperature == 0:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": generation.temperature, "top_p": generation.top_p, "top_k": 0}


def generate(
    model: Any,
    tokenizer: Any,
    prompt_ids: Sequence[int],
    generation: GenerationSection,
    stop: Sequence[int],
    on_text: Callable[[str], None] | None = None,
) -> Generated:
    """Answer one prompt. `on_text` gets pieces of the reply as they come.

    The model's mode and torch's random state are left as they were.
    """
    return generate_batch(model, tokenizer, [prompt_ids], generation, stop, on_text)[0]


def generate_batch(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    generation: GenerationSection,
    stop: Sequence[int],
    on_text: Callable[[str], None] | None = None,
) -> list[Generated]:
    """Answer several prompts at once, padded on the left; sampling is seeded once for the whole batch.

    on_text: gets pieces of the reply as they come; for a single prompt only.
    The model's mode and torch's random state are left as they were.
    """
    import torch
    from transformers import GenerationConfig

    width = max(map(len, prompts))
    device = next(model.parameters()).device
    ids = torch.full((len(prompts), width), int(tokenizer.pad_token_id), device=device)  # (batch, width)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(list(prompt), device=device)
        mask[row, width - len(prompt) :] = 1
    settings = GenerationConfig(
        max_new_tokens=generation.max_new_tokens,
        eos_token_id=list(stop),
        pad_token_id=tokenizer.pad_token_id,
        **sampling_of(generation),
    )
    was_training = model.training
    model.eval()
    with torch.random.fork_rng(), torch.no_grad(), _nothing_of_its_own(model):
        torch.manual_seed(generation.seed)
        streamer = _streamer(tokenizer, on_text) if on_text else None
        out = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings, streamer=streamer)
    model.train(was_training)
    ends = set(stop)
    replies = []
    for row in out[:, width:].tolist():
        end = next((place for place, token in enumerate(row) if token in ends), None)
        new = row if end is None else row[: end + 1]
        text = tokenizer.decode(new, skip_special_tokens=True).strip()
        replies.append(Generated(text, len(new), end is not None))
    return replies


@contextmanager
def _nothing_of_its_own(model: Any) -> Iterator[None]:
    """Set the model's own generation config aside: transformers takes from it what the call leaves unset.

    A penalty on repetitions or beams that a base model brings would make other replies than those of its neighbours.
    """
    from transformers import GenerationConfig

    kept = [(part, part.generation_config) for part in model.modules() if "generation_config" in vars(part)]
    try:
        for part, _ in kept:
            part.generation_config = GenerationConfig()
        yield
    finally:
        for part, own in kept:
            part.generation_config = own


def _streamer(tokenizer: Any, on_text: Callable[[str], None]) -> Any:
    from transformers import TextStreamer

    class _Callback(TextStreamer):  # type: ignore[misc]
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            on_text(text)

    return _Callback(tokenizer, skip_prompt=True, skip_special_tokens=True)
