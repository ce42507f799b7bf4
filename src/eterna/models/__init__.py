"""Load, adapt, generate with and save a causal language model."""

from eterna.models.adapting import add_lora, trainable_share
from eterna.models.generating import Generated, generate, sampling_of
from eterna.models.loading import (
    Precision,
    choose_precision,
    find_model,
    load_finished,
    load_model,
)
from eterna.models.saving import copy_finished, make_base_absolute, save_finished, set_stop_tokens
from eterna.models.tokenizers import PLAIN_TEMPLATE, load_tokenizer, repair_tokenizer

__all__ = [
    "PLAIN_TEMPLATE",
    "Generated",
    "Precision",
    "add_lora",
    "choose_precision",
    "copy_finished",
    "find_model",
    "generate",
    "load_finished",
    "load_model",
    "load_tokenizer",
    "make_base_absolute",
    "repair_tokenizer",
    "sampling_of",
    "save_finished",
    "set_stop_tokens",
    "trainable_share",
]
