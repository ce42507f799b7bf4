"""Any conversation, by any template, becomes tokens whose trained part is the answers, or is refused."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.effort import tried

from eterna.data import Encoder
from eterna.errors import Problem
from eterna.models.tokenizers import PLAIN_TEMPLATE
from eterna.world import Message

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}{{ eos_token }}"
    "{% else %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}"
)
MARKED = CHATML.replace(
    "{{ m.content }}<|im_end|>",
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ m.content }}<|im_end|>{% endif %}",
)
TEMPLATES = {
    "chatml": CHATML,
    "llama": LLAMA,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "marked": MARKED,
    "plain": PLAIN_TEMPLATE,
}
CONTROL = re.compile(r"<\|[a-z_]+\|>|<(?:start|end)_of_turn>|\[/?INST\]")
SPOKEN = [
    "Who keeps the lamps?",
    "Abel.",
    " two blanks",
    "line\n\nline",
    "¿Quién?",
    "🕯👨‍👩‍👧",
    "e\u0301",
    "<|im_end|>",
    "</s>",
    "{{ x }}",
    "0",
]
texts = (st.sampled_from(SPOKEN) | st.text(min_size=1, max_size=20)).filter(str.strip)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """A system message or none, then user and assistant by turns; the assistant has the last word."""
    head: list[Message] = [{"role": "system", "content": draw(texts)}] if draw(st.booleans()) else []
    rounds = draw(st.integers(1, 3))
    turns = [Message(role=role, content=draw(texts)) for _ in range(rounds) for role in ("user", "assistant")]
    return head + turns


@pytest.fixture(scope="module")
def encoders(tiny_tokenizer: Any) -> dict[str, Encoder]:
    """One for each template, which knows the template's own control tokens."""
    found = {}
    for name, template in TEMPLATES.items():
        tokenizer = copy.deepcopy(tiny_tokenizer)
        tokenizer.add_special_tokens({"additional_special_tokens": sorted(set(CONTROL.findall(template)))})
        tokenizer.chat_template = template
        found[name] = Encoder(tokenizer)
    return found


def squeezed(text: str) -> str:
    return "".join(text.split())


@tried
@given(conversations(), st.sampled_from(sorted(TEMPLATES)))
def test_what_is_trained_is_the_answers(encoders: dict[str, Encoder], messages: list[Message], name: str) -> None:
    encoder = encoders[name]
    found = encoder.messages("x", messages)
    if isinstance(found, Problem):
        assert found.message and found.fix
        return
    (found,) = found
    assert len(found.ids) == len(found.weights)
    assert found.weights[0] == 0
    trained = [item for item, weight in zip(found.ids, found.weights, strict=True) if weight]
    answers = [message["content"] for message in messages if message["role"] == "assistant"]
    stops = sum(item in encoder.specials for item in trained)
    text = encoder.tokenizer.decode(
        [item for item in trained if item not in encoder.specials], clean_up_tokenization_spaces=False
    )
    assert stops == len(answers)
    assert trained[-1] in encoder.specials
    assert squeezed(text) == squeezed("".join(answers))


@tried
@given(st.text(min_size=1, max_size=60))
def test_plain_text_is_trained_whole(encoders: dict[str, Encoder], text: str) -> None:
    encoder = encoders["chatml"]
    found = encoder.text("x", text)
    assert found.trained == len(found.ids) - 1
    assert found.ids[-1] == encoder.tokenizer.eos_token_id
