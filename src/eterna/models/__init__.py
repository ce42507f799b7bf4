"""Load, adapt, generate with and save a causal language model."""

from eterna.models.adapting import adapters_merged, add_lora, keeps_base, trainable_share
from eterna.models.generating import Generated, generate, generate_all
from eterna.models.loading import (
    Precision,
    choose_precision,
    find_base_commit,
    find_model,
    load_finished,
    load_model,
)
from eterna.models.memory import Memory, StepBytes, allocator_waste, estimate_activations
from eterna.models.quantizing import NF4_BYTES, check_quantization, held_as, quantized_layers
from eterna.models.saving import copy_finished, make_base_absolute, save_finished, set_stop_tokens
from eterna.models.tokenizers import PLAIN_TEMPLATE, load_tokenizer, repair_tokenizer, tokenizer_digest

__all__ = [
    "NF4_BYTES",
    "PLAIN_TEMPLATE",
    "Generated",
    "Memory",
    "Precision",
    "StepBytes",
    "adapters_merged",
    "add_lora",
    "allocator_waste",
    "check_quantization",
    "choose_precision",
    "copy_finished",
    "estimate_activations",
    "find_base_commit",
    "find_model",
    "generate",
    "generate_all",
    "held_as",
    "keeps_base",
    "load_finished",
    "load_model",
    "load_tokenizer",
    "make_base_absolute",
    "quantized_layers",
    "repair_tokenizer",
    "save_finished",
    "set_stop_tokens",
    "tokenizer_digest",
    "trainable_share",
]
