"""Shapes of a few published models, so that a plan can be made for them where neither Hub nor cache is at hand.

Source: the `config.json` that each model's authors published with its weights. `mistralai/Mistral-7B-v0.1` is the
guide's example.
"""

from __future__ import annotations

from typing import Any

_MISTRAL_7B = {
    "model_type": "mistral",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32768,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
}
_SMOLLM2_135M = {
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
_GPT2 = {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024}

SHAPES: dict[str, dict[str, Any]] = {
    "mistralai/Mistral-7B-v0.1": _MISTRAL_7B,
    "HuggingFaceTB/SmolLM2-135M": _SMOLLM2_135M,
    "openai-community/gpt2": _GPT2,
    "gpt2": _GPT2,
}


def known_shape(name: str) -> Any | None:
    """transformers' configuration of a model named in SHAPES, else None."""
    from transformers import AutoConfig

    values = dict(SHAPES.get(name, {}))
    return AutoConfig.for_model(values.pop("model_type"), **values) if values else None
