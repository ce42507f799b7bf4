"""Replies depend on the generation section alone, whatever generation config the model brings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eterna.config import GenerationSection, LoraSection, ModelSection
from eterna.models import add_lora, generate, load_model, save_finished

# What a base model's generation_config.json may ask for, each of which changes the reply of the tiny model.
OWN = {
    "repetition_penalty": 8.0,
    "no_repeat_ngram_size": 1,
    "num_beams": 3,
    "min_new_tokens": 12,
    "suppress_tokens": list(range(3, 200)),
    "bad_words_ids": [[token] for token in range(3, 200)],
}


def reply(model: Any, tokenizer: Any, **settings: Any) -> str:
    generation = GenerationSection(max_new_tokens=12, **settings)
    return generate(model, tokenizer, list(range(10, 20)), generation, [tokenizer.eos_token_id]).text


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_model_s_own_settings_do_not_change_its_replies(
    tiny_model: Path, tiny_tokenizer: Any, temperature: float, lora: bool
) -> None:
    model = load_model(ModelSection(name=str(tiny_model)), "fp32", 0, True)
    if lora:
        model = add_lora(model, LoraSection(r=4, target_modules=["q_proj"]), 0)
    plain = reply(model, tiny_tokenizer, temperature=temperature)
    for name, value in OWN.items():
        before = getattr(model.generation_config, name)
        setattr(model.generation_config, name, value)
        assert reply(model, tiny_tokenizer, temperature=temperature) == plain, name
        assert getattr(model.generation_config, name) == value
        setattr(model.generation_config, name, before)


def test_a_finished_model_replies_as_it_was_scored(tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    model = load_model(ModelSection(name=str(tiny_model)), "fp32", 0, True)
    model.generation_config.update(repetition_penalty=8.0, no_repeat_ngram_size=1)
    save_finished(model, tiny_tokenizer, tmp_path / "final", [tiny_tokenizer.eos_token_id], 5)
    written = json.loads((tmp_path / "final" / "generation_config.json").read_text(encoding="utf-8"))
    assert (written["max_new_tokens"], written["eos_token_id"]) == (5, tiny_tokenizer.eos_token_id)
    assert not {"repetition_penalty", "no_repeat_ngram_size"} & {name for name, value in written.items() if value}
