"""Probes ask the same question the same way each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from eterna.config import GenerationSection
from eterna.data import Encoder, Probe
from eterna.evaluation import answer_probes
from eterna.models import generate


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def probe(tokenizer: Any) -> Probe:
    messages = ({"role": "user", "content": "Where is the map?"},)
    return Probe("p", "Oria", messages, tuple(Encoder(tokenizer).prompt(messages)), "Here.")  # type: ignore[arg-type]


def test_greedy_replies_are_the_same_each_time_and_leave_the_random_state(
    tiny_model: Path, tiny_tokenizer: Any
) -> None:
    model = load(tiny_model).train()
    before = torch.random.get_rng_state()
    rows = [
        answer_probes(model, tiny_tokenizer, [probe(tiny_tokenizer)], GenerationSection(max_new_tokens=6), 0)
        for _ in "ab"
    ]
    assert rows[0] == rows[1]
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.training


def test_greedy_is_transformers_own_greedy(tiny_model: Path, tiny_tokenizer: Any) -> None:
    model = load(tiny_model)
    prompt = probe(tiny_tokenizer).prompt_ids
    ours = generate(model, tiny_tokenizer, prompt, GenerationSection(max_new_tokens=6), [2])
    ids = torch.tensor([prompt])
    for _ in range(ours.tokens):
        ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(-1)], dim=1)
    assert ours.text == tiny_tokenizer.decode(ids[0, len(prompt) :], skip_special_tokens=True).strip()


def test_a_reply_that_ends_by_itself_is_marked(tiny_model: Path, tiny_tokenizer: Any) -> None:
    model = load(tiny_model)
    prompt = probe(tiny_tokenizer).prompt_ids
    first = int(model(input_ids=torch.tensor([prompt])).logits[0, -1].argmax())
    assert generate(model, tiny_tokenizer, prompt, GenerationSection(max_new_tokens=6), [first]).stopped
    assert not generate(model, tiny_tokenizer, prompt, GenerationSection(max_new_tokens=1), [first + 1]).stopped


def test_sampling_repeats_with_its_seed_and_changes_with_another(tiny_model: Path, tiny_tokenizer: Any) -> None:
    model = load(tiny_model)
    prompt = probe(tiny_tokenizer).prompt_ids

    def sample(seed: int) -> str:
        section = GenerationSection(max_new_tokens=12, temperature=1.0, seed=seed)
        return generate(model, tiny_tokenizer, prompt, section, [2]).text

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(4)}) > 1
