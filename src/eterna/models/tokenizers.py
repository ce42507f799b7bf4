"""Load a tokenizer and make it fit for training: padding, end of text, chat template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from eterna.config import ModelSection
from eterna.errors import ModelError
from eterna.models.loading import find_model, hub_options, readable_failure

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

    source, found = find_model(section.name), hub_options(section)
    with readable_failure(section.name):
        tokenizer = AutoTokenizer.from_pretrained(source, **found)
        stops = _stops_of_model(source, found)
    notes = repair_tokenizer(tokenizer, section.name, stops)
    if found.get("local_files_only"):
        notes.append(f"the Hub is not asked, or gives no answer: {section.name} comes from the local cache")
    return tokenizer, notes


def tokenizer_digest(tokenizer: Any) -> str:
    """12 hex digits that stand for a tokenizer's vocabulary and chat template, for signatures."""
    known = json.dumps([sorted(tokenizer.get_vocab().items()), tokenizer.chat_template], ensure_ascii=True)
    return hashlib.sha256(known.encode("ascii")).hexdigest()[:12]


def _stops_of_model(source: str, found: dict[str, Any]) -> list[int]:
    """Token ids that end a text by the model's generation config, or by its configuration where it brings none."""
    from transformers import AutoConfig, GenerationConfig

    try:
        config = GenerationConfig.from_pretrained(source, **found)
    except OSError:  # no generation_config.json
        config = GenerationConfig.from_model_config(AutoConfig.from_pretrained(source, **found))
    stops = config.eos_token_id
    return stops if isinstance(stops, list) else [] if stops is None else [stops]


def repair_tokenizer(tokenizer: Any, name: str, stops: Sequence[int] = ()) -> list[str]:
    """Give a tokenizer what training needs, in place. Returns one line per repair; raises ModelError.

    stops: token ids that end a text by the model's own configuration.
    """
    notes = []
    if not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer of {name} gives no character offsets", fix="save it as a fast tokenizer (tokenizer.json)"
        )
    known = {stop: token for stop in stops if (token := tokenizer.convert_ids_to_tokens(stop)) is not None}
    if tokenizer.eos_token is None:
        if not known:
            raise ModelError(
                f"the tokenizer of {name} has no end-of-text token", fix="set eos_token in tokenizer_config.json"
            )
        tokenizer.eos_token = next(iter(known.values()))
        notes.append(f"no end-of-text token in the tokenizer: {tokenizer.eos_token}, as the model's own settings say")
    elif stops and tokenizer.eos_token_id not in stops:
        theirs = ", ".join(known.get(stop, f"token {stop}") for stop in stops)
        notes.append(
            f"the tokenizer ends a text with {tokenizer.eos_token}, the model with {theirs}: each ends a reply"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        notes.append(f"no padding token: {tokenizer.eos_token} pads (padding is masked, the real one is trained)")
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
        notes.append("no chat template: a plain one is used and saved with the model")
    return notes
