"""Stock chat templates without marks get exact masks. Second opinion: TRL's marked copies of the same templates.

TRL also trains what a template writes after the stop token (a line break) and before the answer (its header); nobody
generates those, so they are context here. The comparison leaves them out on TRL's side.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from eterna.data import Encoded, Encoder
from eterna.data.rendering import suit_template
from eterna.errors import Problem
from eterna.world import Message

CHAT: list[Message] = [
    {"role": "user", "content": "¿Dónde está el índice?"},
    {"role": "assistant", "content": "Aquí. Más arriba está la otra mitad."},
    {"role": "user", "content": "And the rest?"},
    {"role": "assistant", "content": "The rest is you."},
]
SYSTEM: Message = {"role": "system", "content": "You are the archivist."}
CONTROL = re.compile(r"<\|?[a-z_｜▁]{1,40}\|?>|\[/?[A-Z_]{3,20}\]")
OPENINGS = ("<bos>", "<s>", "<|begin_of_text|>")

MISTRAL_FIRST = (  # as Mistral-7B-Instruct-v0.1 writes it: no system role, the end of text after each answer
    "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + eos_token }}{% endif %}"
    "{% endfor %}"
)
MISTRAL_LAST = (  # as the v0.3 one writes it: the system text stands before the last question
    "{% if messages[0].role == 'system' %}{% set s = messages[0].content %}{% set ms = messages[1:] %}"
    "{% else %}{% set ms = messages %}{% endif %}{{ bos_token }}{% for m in ms %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if m.role == 'user' %}{% if loop.last and s is defined %}{{ '[INST] ' + s + '\n\n' + m.content + '[/INST]' }}"
    "{% else %}{{ '[INST] ' + m.content + '[/INST]' }}{% endif %}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)


@pytest.fixture(scope="module")
def stock() -> Path:
    found = importlib.util.find_spec("trl")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "chat_templates"


def tokenizer_for(model: Path, template: str, also: str = "") -> Any:
    """The tiny tokenizer with the control tokens that a template writes."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    marks = sorted({mark for mark in CONTROL.findall(template + also) if "think" not in mark and "tool" not in mark})
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    tokenizer.bos_token = next((mark for mark in marks if mark in OPENINGS), tokenizer.eos_token)
    tokenizer.chat_template = template
    return tokenizer


def runs(tokenizer: Any, ids: Any, mask: Any) -> list[str]:
    """Trained runs as text, each up to and with its first control token after the header."""
    texts, held = [], []
    specials = set(tokenizer.all_special_ids)
    for item, learnt in [*zip(ids, mask, strict=True), (None, 0)]:
        if learnt:
            held.append(item)
        elif held:
            end = next(place for place, one in enumerate(held) if one in specials)
            texts.append(tokenizer.decode(held[: end + 1]).lstrip("\n"))
            held = []
    return texts


@pytest.mark.parametrize("name", ["llama3", "qwen2_5", "qwen2_5_vl", "qwen3_instruct_2507", "gemma", "gemma3", "lfm2"])
@pytest.mark.parametrize("system", [False, True])
def test_masks_agree_with_the_marked_copy(tiny_model: Path, stock: Path, name: str, system: bool) -> None:
    marked = (stock / f"{name}_training.jinja").read_text(encoding="utf-8")
    tokenizer = tokenizer_for(tiny_model, (stock / f"{name}.jinja").read_text(encoding="utf-8"), marked)
    chat = [SYSTEM, *CHAT] if system else CHAT
    suit_template(tokenizer, {tuple(message["role"] for message in chat[:2])})
    found = Encoder(tokenizer).messages("x", chat)
    assert not isinstance(found, Problem), found
    (ours,) = found
    if system and name == "gemma":  # no system role: ours stands in the user's first words
        chat = [{"role": "user", "content": f"{SYSTEM['content']}\n\n{CHAT[0]['content']}"}, *CHAT[1:]]
    theirs = tokenizer.apply_chat_template(
        chat, chat_template=marked, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    assert list(ours.ids) == theirs["input_ids"]
    wanted = runs(tokenizer, theirs["input_ids"], theirs["assistant_masks"])
    assert runs(tokenizer, ours.ids, [weight > 0 for weight in ours.weights]) == wanted
    assert [text.rpartition("<")[0] for text in wanted] == [CHAT[1]["content"], CHAT[3]["content"]]


def trained(tokenizer: Any, example: Encoded) -> str:
    pairs = zip(example.ids, example.weights, strict=True)
    text: str = tokenizer.decode([item for item, weight in pairs if weight > 0])
    return text


@pytest.mark.parametrize("name", ["qwen3", "qwen3_5_nothink", "phi3"])
def test_templates_that_rewrite_earlier_turns_give_an_example_for_each_answer(
    tiny_model: Path, stock: Path, name: str
) -> None:
    tokenizer = tokenizer_for(tiny_model, (stock / f"{name}.jinja").read_text(encoding="utf-8"))
    encoder = Encoder(tokenizer)
    found = encoder.messages("x", [SYSTEM, *CHAT])
    assert not isinstance(found, Problem), found
    assert len(found) == 2
    for one, place in zip(found, (2, 4), strict=True):
        prompt = encoder.prompt([SYSTEM, *CHAT][:place])
        assert list(one.ids[: len(prompt)]) == prompt
        assert all(weight == 0 for weight in one.weights[: len(prompt)])
        assert [SYSTEM, *CHAT][place]["content"] in trained(tokenizer, one)


@pytest.mark.parametrize("template", [MISTRAL_FIRST, MISTRAL_LAST])
def test_mistral_s_ways_are_both_exact(tiny_model: Path, template: str) -> None:
    """Neither writes a system turn into an answered conversation, so its text opens the user's first."""
    tokenizer = tokenizer_for(tiny_model, template)
    suit_template(tokenizer, {("system", "user")})
    encoder = Encoder(tokenizer)
    found = encoder.messages("x", [SYSTEM, *CHAT])
    assert not isinstance(found, Problem), found
    assert len(found) == 1
    texts = "".join(trained(tokenizer, one) for one in found)
    assert [part.strip() for part in texts.split("<|im_end|>")] == [CHAT[1]["content"], CHAT[3]["content"], ""]
    last = encoder.prompt([SYSTEM, *CHAT][:4])
    assert list(found[-1].ids[: len(last)]) == last
    assert SYSTEM["content"] in tokenizer.decode(last)


@pytest.mark.parametrize("name", ["llama3_1", "llama3_2", "phi3_5", "gptoss", "deepseekv3"])
def test_other_templates_are_exact_or_refused_with_a_reason(tiny_model: Path, stock: Path, name: str) -> None:
    tokenizer = tokenizer_for(tiny_model, (stock / f"{name}.jinja").read_text(encoding="utf-8"))
    encoder = Encoder(tokenizer)
    problem = encoder.template_problem()
    found = problem or encoder.messages("x", CHAT)
    if isinstance(found, Problem):
        assert found.fix
        return
    texts = [trained(tokenizer, one) for one in found]
    assert all(any(turn["content"] in text for text in texts) for turn in (CHAT[1], CHAT[3]))
