"""Make a tiny random-weight Mistral with Mistral's own tokenizer, to try recipes without downloading 7B weights.

    python recipes/mistral_tiny.py build/mistral-tiny

The tokenizer (32,000 tokens, SentencePiece) is the one inside the PyPI package mistral-common, Apache-2.0, which the
`dev` extra installs. The model
has the architecture of mistralai/Mistral-7B-v0.1 with 2 layers of width 64; its weights are random.
"""

from __future__ import annotations

import sys
from pathlib import Path


def make_mistral_tiny(out: Path, seed: int = 0) -> None:
    """Write model and tokenizer into `out`."""
    import mistral_common
    import torch
    from transformers import LlamaTokenizer, MistralConfig, MistralForCausalLM

    source = Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
    out.mkdir(parents=True, exist_ok=True)
    copy = out / "tokenizer.model"
    copy.write_bytes(source.read_bytes())
    LlamaTokenizer.from_pretrained(out).save_pretrained(out)
    copy.unlink()
    torch.manual_seed(seed)
    config = MistralConfig(
        vocab_size=32000,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        sliding_window=4096,
        bos_token_id=1,
        eos_token_id=2,
    )
    MistralForCausalLM(config).save_pretrained(out)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python recipes/mistral_tiny.py OUT\n")
        sys.exit(2)
    make_mistral_tiny(Path(sys.argv[1]))
