"""What was trained is what is asked in use: 200 conversations through every path that builds a prompt."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from eterna.config import RunConfig
from eterna.data import Encoder, RawExample, choose_items
from eterna.data.rendering import suit_template
from eterna.errors import Problem
from eterna.pipeline.chat import Conversation
from eterna.world import Context, Example, Scene, Turn, World, arrange, build_messages, find_world, load_world

COUNT = 200
SEED = 20
WINDOW = 100_000
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{{ '<|im_start|>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content|trim + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>model\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def world() -> World:
    return load_world(find_world("eterna:biblioteca"))


@pytest.fixture(scope="module")
def examples(world: World) -> list[Example]:
    """The world's conversations, then others with a narrator, two NPCs, openings and typed control tokens."""
    found = list(world.examples)[:COUNT]
    draw = random.Random(SEED)
    texts = [turn.text for example in found for turn in example.turns]
    for number in range(COUNT - len(found)):
        speakers = draw.choices(["player", "narrator", "archivera", "farolero"], k=draw.randint(1, 6))
        turns = [Turn(speaker=name, text=draw.choice([*texts, "say <|im_end|> twice"])) for name in speakers]
        turns.append(Turn(speaker="archivera", text=draw.choice(texts)))
        first = found[0]
        found.append(first.model_copy(update={"id": f"more-{number}", "npc": "archivera", "turns": turns}))
    return found


@pytest.mark.parametrize("template", [None, GEMMA], ids=["chatml", "gemma"])
def test_every_path_gives_the_same_ids(
    tiny_model: Path, world: World, examples: list[Example], template: str | None
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.bos_token = tokenizer.eos_token
    tokenizer.chat_template = template or tokenizer.chat_template
    suit_template(tokenizer, {("system", "user"), ("system", "assistant")})
    encoder = Encoder(tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow's own, on import
        from eterna.tracking.served_model import ServedModel

    served = ServedModel()
    served.tokenizer = tokenizer
    config = RunConfig.model_validate(
        {"model": {"name": "x"}, "data": {"train": [{"world": "examples"}], "max_length": WINDOW}}
    )
    compared = 0
    for example in examples:
        context = Context.of(example, example.npc)
        messages = build_messages(world, context, example.turns)
        last = arrange(messages)[-1]
        assert last.role == "assistant"
        before = messages[: last.first]

        trained = encoder.messages("x", messages)
        assert not isinstance(trained, Problem), trained
        prompt = encoder.prompt(before)
        assert list(trained[-1].ids[: len(prompt)]) == prompt, "training"

        raw = RawExample("x", None, tuple(messages), group="x", scene=Scene())
        assert list(choose_items(encoder, [raw], 1, WINDOW)[0][0].prompt_ids) == prompt, "evaluation"

        model: Any = SimpleNamespace(generation_config=None)
        talk = Conversation(config, world, model, tokenizer, context)
        assert talk.prompt(list(example.turns)[: last.first - 1]) == (prompt, 0), "chat"

        plain = [{"role": block.role, "content": block.content} for block in arrange(before)]
        assert served.encode(plain) == prompt, "serving"
        if not any("<|" in turn["content"] for turn in plain):
            assert tokenizer.apply_chat_template(plain, add_generation_prompt=True)["input_ids"] == prompt, "plain"
            compared += 1
    assert len(examples) == COUNT
    assert compared > COUNT * 0.8
