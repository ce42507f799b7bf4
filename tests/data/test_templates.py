"""A chat template is a stranger's program: what it can write is found out, what it may take is bounded."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from eterna.data import Encoded, Encoder
from eterna.data.rendering import suit_template
from eterna.data.templates import TemplateError, renderer_of
from eterna.errors import Problem
from eterna.world import Message

TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
NEXT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
CHATML = "{% for m in messages %}" + TURN + "{% endfor %}" + NEXT
SYSTEM: Message = {"role": "system", "content": "You are Abel."}
ASK: Message = {"role": "user", "content": "Where is the lamp?"}
ANSWER: Message = {"role": "assistant", "content": "Above the stair."}


def with_template(model: Path, template: str) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template
    return tokenizer


def only(found: list[Encoded] | Problem) -> Encoded:
    assert not isinstance(found, Problem), found
    (one,) = found
    return one


REFUSES_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
DROPS_SYSTEM = "{% for m in messages if m.role != 'system' %}" + TURN + "{% endfor %}" + NEXT
ALTERNATES = (
    "{% for m in messages if m.role != 'system' %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}"
)


@pytest.mark.parametrize("template", [REFUSES_SYSTEM + CHATML, DROPS_SYSTEM])
def test_a_template_without_a_system_turn_gets_its_text_in_the_user_s_first(tiny_model: Path, template: str) -> None:
    tokenizer = with_template(tiny_model, template)
    notes = suit_template(tokenizer, {("system", "user"), ("user", "assistant")})
    assert "no system turn" in notes[0]
    wanted = "<|im_start|>user\nYou are Abel.\n\nWhere is the lamp?<|im_end|>\n"
    assert Encoder(tokenizer).render([SYSTEM, ASK, ANSWER]).startswith(wanted)
    assert tokenizer.apply_chat_template([SYSTEM, ASK, ANSWER], tokenize=False).startswith(wanted)
    only(Encoder(tokenizer).messages("x", [SYSTEM, ASK, ANSWER]))


def test_where_a_user_must_be_first_an_opening_answer_follows_three_dots(tiny_model: Path) -> None:
    tokenizer = with_template(tiny_model, ALTERNATES + CHATML)
    assert "wants the user first" in suit_template(tokenizer, {("system", "assistant")})[0]
    encoder = Encoder(tokenizer)
    assert encoder.render([SYSTEM, ANSWER]).split("<|im_start|>")[2] == "user\n…<|im_end|>\n"
    example = only(encoder.messages("x", [SYSTEM, ANSWER]))
    prompt = encoder.prompt([SYSTEM])
    assert list(example.ids[: len(prompt)]) == prompt


def test_both_repairs_go_together(tiny_model: Path) -> None:
    tokenizer = with_template(tiny_model, REFUSES_SYSTEM + ALTERNATES + CHATML)
    assert len(suit_template(tokenizer, {("system", "assistant")})) == 2
    wanted = "<|im_start|>user\nYou are Abel.\n\n…<|im_end|>\n<|im_start|>assistant\nAbove the stair.<|im_end|>\n"
    assert Encoder(tokenizer).render([SYSTEM, ANSWER]) == wanted


@pytest.mark.parametrize("openings", [{("user", "assistant")}, {("system", "user")}])
def test_a_template_is_left_alone_where_nothing_needs_it(tiny_model: Path, openings: Any) -> None:
    tokenizer = with_template(tiny_model, ALTERNATES + CHATML)
    assert suit_template(tokenizer, openings) == []
    assert tokenizer.chat_template == ALTERNATES + CHATML


def test_a_template_that_swallows_a_turn_is_refused(tiny_model: Path) -> None:
    swallows = "{% for m in messages if m.role != 'user' %}" + TURN + "{% endfor %}" + NEXT
    problem = Encoder(with_template(tiny_model, swallows)).template_problem()
    assert problem is not None
    assert "does not write what the user says" in problem.message


def test_a_template_that_changes_an_answer_is_refused(tiny_model: Path) -> None:
    changes = CHATML.replace("{{ m.content }}", "{{ m.content|replace('lamp', 'candle') }}")
    said: Message = {"role": "assistant", "content": "The lamp is out."}
    problem = Encoder(with_template(tiny_model, changes)).messages("x", [ASK, said])
    assert isinstance(problem, Problem)
    assert "changes the text of message 2" in problem.message


def test_a_template_that_refuses_one_conversation_is_a_problem_of_that_conversation(tiny_model: Path) -> None:
    picky = "{% if 'lamp' in messages[-1].content %}{{ raise_exception('no lamps') }}{% endif %}" + CHATML
    encoder = Encoder(with_template(tiny_model, picky))
    assert encoder.template_problem() is None
    problem = encoder.messages("x", [ASK, {"role": "assistant", "content": "The lamp."}])
    assert isinstance(problem, Problem)
    assert "no lamps" in problem.message


LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def test_a_template_that_never_ends_is_stopped(tiny_model: Path) -> None:
    problem = Encoder(with_template(tiny_model, LOOP + CHATML)).template_problem()
    assert problem is not None
    assert "took more than 2 s" in problem.message


def test_a_template_that_hangs_on_some_conversations_only_is_stopped(tiny_model: Path) -> None:
    sly = "{% if messages|length > 5 %}" + LOOP + "{% endif %}" + CHATML
    encoder = Encoder(with_template(tiny_model, sly))
    assert encoder.template_problem() is None
    with pytest.raises(TemplateError, match="took more than 2 s"):
        encoder.messages("x", [ASK, ANSWER] * 3)
    only(encoder.messages("x", [ASK, ANSWER]))


def test_a_template_that_fills_the_memory_is_stopped(tiny_model: Path) -> None:
    greedy = "{% set x = 'x' * (2 * 1024 * 1024 * 1024) %}{{ x|length }}" + CHATML
    problem = Encoder(with_template(tiny_model, greedy)).template_problem()
    assert problem is not None
    assert "512 MiB of memory" in problem.message


def test_a_template_that_writes_without_end_is_stopped(tiny_model: Path) -> None:
    chatty = "{% for a in range(3000) %}" + "x" * 1000 + "{% endfor %}" + CHATML
    problem = Encoder(with_template(tiny_model, chatty)).template_problem()
    assert problem is not None
    assert "3,0" in problem.message
    assert "characters" in problem.message


def test_a_template_cannot_reach_the_machine(tiny_model: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    climbing = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch %s') }}"
    problem = Encoder(with_template(tiny_model, climbing % canary + CHATML)).template_problem()
    assert problem is not None
    assert not canary.exists()


def test_a_long_conversation_is_no_hostile_one(tiny_model: Path) -> None:
    long: Message = {"role": "user", "content": "lamp " * 300_000}
    assert len(Encoder(with_template(tiny_model, CHATML)).render([long, ANSWER])) > 1_500_000


def test_the_child_ends_with_its_renderer(tiny_model: Path) -> None:
    renderer = renderer_of(with_template(tiny_model, CHATML + "{# one of its own #}"))
    renderer.render([([{"role": "user", "content": "hi"}], True)])
    child = renderer.child.pid
    renderer.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, signal.SIGCONT)
    assert renderer.render([([{"role": "user", "content": "hi"}], True)]) == [
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    ]
