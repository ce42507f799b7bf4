"""Load a tokenizer and make it fit for training: padding, end of text, chat template."""

from __future__ import annotations

from typing import Any

from eterna.config import ModelSection
from eterna.errors import ModelError
from eterna.models.loading import find_model, readable_failure

# For tokenizers that bring no chat template: plain words any tokenizer knows, ended by its own end-of-text token.
PLAIN_TEMPLATE = (
    "{{- bos_token or '' -}}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'assistant' -%}{{- '### Answer\n' + message.content + eos_token + '\n' -}}"
    "{%- elif message.role == 'system' -%}{{- message.content + '\n' -}}"
    "{%- else -%}{{- '### Player\n' + message.content + '\n' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '### Answer\n' -}}{%- endif -%}"
)


def load_tokenizer(section: ModelSection) -> tuple[Any, list[str]]:
    """The tokenizer, made fit for training. Returns it with one line per repair."""
    from transformers import AutoTokenizer

    source = find_model(section.name)
    with readable_failure(section.name):
        tokenizer = AutoTokenizer.from_pretrained(source, revision=section.revision)
    return tokenizer, repair_tokenizer(tokenizer, section.name)


def repair_tokenizer(tokenizer: Any, name: str) -> list[str]:
    """Give a tokenizer what training needs, in place. Returns one line per repair; raises ModelError."""
    notes = []
    if not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer of {name} gives no character offsets", fix="save it as a fast tokenizer (tokenizer.json)"
        )
    if tokenizer.eos_token is None:
        raise ModelError(
            f"the tokenizer of {name} has no end-of-text token", fix="set eos_token in tokenizer_config.json"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        notes.append(f"no padding token: {tokenizer.eos_token} pads (padding is masked, the real one is trained)")
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
        notes.append("no chat template: a plain one is used and saved with the model")
    return notes
