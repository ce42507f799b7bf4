"""Load, adapt, generate with and save a causal language model."""

from eterna.models.adapting import add_lora, trainable_share
from eterna.models.generating import Generated, generate, generate_batch, sampling_of
from eterna.models.loading import (
    Precision,
    choose_precision,
    find_base_commit,
    find_model,
    load_finished,
    load_model,
)
from eterna.models.saving import save_finished
from eterna.models.tokenizers import PLAIN_TEMPLATE, load_tokenizer

__all__ = [
    "PLAIN_TEMPLATE",
    "Generated",
    "Precision",
    "add_lora",
    "choose_precision",
    "find_base_commit",
    "find_model",
    "generate",
    "generate_batch",
    "load_finished",
    "load_model",
    "load_tokenizer",
    "sampling_of",
    "save_finished",
    "trainable_share",
]
