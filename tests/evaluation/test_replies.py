"""The same question is asked the same way each time."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from eterna.config import GenerationSection
from eterna.data import Encoder, Item
from eterna.evaluation import Rules, answer_items, sample_rows
from eterna.models import generate
from eterna.world import Canon, Scene
from eterna.world.schema import Ban


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def item(tokenizer: Any, text: str = "Where is the map?") -> Item:
    messages = ({"role": "user", "content": text},)
    return Item("p", "Oria", "p", Scene(), messages, tuple(Encoder(tokenizer).prompt(messages)), "Here.")  # type: ignore[arg-type]


def test_greedy_replies_are_the_same_each_time_and_leave_the_random_state(
    tiny_model: Path, tiny_tokenizer: Any
) -> None:
    model = load(tiny_model).train()
    before = torch.random.get_rng_state()
    items = [item(tiny_tokenizer)]
    replies = [answer_items(model, tiny_tokenizer, items, GenerationSection(max_new_tokens=6)) for _ in "ab"]
    assert replies[0] == replies[1]
    assert sample_rows(items, replies[0], 3)[0]["reply"] == replies[0][0].text
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.training


def test_greedy_is_transformers_own_greedy(tiny_model: Path, tiny_tokenizer: Any) -> None:
    model = load(tiny_model)
    prompt = item(tiny_tokenizer).prompt_ids
    ours = generate(model, tiny_tokenizer, prompt, GenerationSection(max_new_tokens=6), [2])
    ids = torch.tensor([prompt])
    for _ in range(ours.tokens):
        ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(-1)], dim=1)
    assert ours.text == tiny_tokenizer.decode(ids[0, len(prompt) :], skip_special_tokens=True).strip()


def test_a_reply_that_ends_by_itself_is_marked(tiny_model: Path, tiny_tokenizer: Any) -> None:
    model = load(tiny_model)
    prompt = item(tiny_tokenizer).prompt_ids
    first = int(model(input_ids=torch.tensor([prompt])).logits[0, -1].argmax())
    assert generate(model, tiny_tokenizer, prompt, GenerationSection(max_new_tokens=6), [first]).stopped
    assert not generate(model, tiny_tokenizer, prompt, GenerationSection(max_new_tokens=1), [first + 1]).stopped


def test_sampling_repeats_with_its_seed_and_changes_with_another(tiny_model: Path, tiny_tokenizer: Any) -> None:
    model = load(tiny_model)
    prompt = item(tiny_tokenizer).prompt_ids

    def sample(seed: int) -> str:
        section = GenerationSection(max_new_tokens=12, temperature=1.0, seed=seed)
        return generate(model, tiny_tokenizer, prompt, section, [2]).text

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(4)}) > 1


def test_a_batch_answers_as_each_prompt_alone(tiny_model: Path, tiny_tokenizer: Any) -> None:
    model = load(tiny_model)
    texts = ["Where is the map?", "Who?", "Why does the stair turn, and where does every landing lead to at night?"]
    items = [item(tiny_tokenizer, text) for text in texts]
    section = GenerationSection(max_new_tokens=10)
    stop = Encoder(tiny_tokenizer).stop_tokens(model.generation_config)
    alone = [generate(model, tiny_tokenizer, one.prompt_ids, section, stop) for one in items]
    assert answer_items(model, tiny_tokenizer, items, section) == alone


def test_what_breaks_the_canon_is_drawn_anew_and_nothing_else(tiny_model: Path, tiny_tokenizer: Any) -> None:
    model = load(tiny_model)
    items = [item(tiny_tokenizer), replace(item(tiny_tokenizer, "Who?"), id="q")]
    section = GenerationSection(max_new_tokens=12, temperature=1.0, redraws=3)
    first = answer_items(model, tiny_tokenizer, items, section)
    rules = Rules(Canon(never=[Ban(id="ban", text="", pattern=f"^{re.escape(first[0].text)}$")]), {})
    again = answer_items(model, tiny_tokenizer, items, section, rules)
    assert (again[0].redrawn, again[1]) == (1, first[1])
    assert again[0].text != first[0].text
    none = section.model_copy(update={"redraws": 0})
    assert answer_items(model, tiny_tokenizer, items, none, rules) == first


def test_the_last_draw_stands_and_each_is_another(tiny_model: Path, tiny_tokenizer: Any) -> None:
    model, asked = load(tiny_model), []
    everything = Canon(never=[Ban(id="ban", text="", pattern="^")])

    class Watched(Rules):
        def broken_by(self, text: str, known: Any) -> bool:
            asked.append(text)
            return super().broken_by(text, known)

    section = GenerationSection(max_new_tokens=12, temperature=1.0, redraws=3)
    (reply,) = answer_items(model, tiny_tokenizer, [item(tiny_tokenizer)], section, Watched(everything, {}))
    assert reply.redrawn == 3
    assert len({*asked, reply.text}) == 4
