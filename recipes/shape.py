"""Make a folder that `model: {name: FOLDER, init: random}` trains from scratch: a tokenizer and a model shape.

    python recipes/shape.py OUT TEXT.jsonl [TEXT.jsonl ...] --vocabulary 6144 --hidden 256 --layers 6

The tokenizer is a byte-level BPE trained on the `text` column of the files, with a ChatML template
(<|im_start|>role ... <|im_end|>) whose <|im_end|> also ends plain texts. The shape is of the Llama type.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from eterna.errors import Place, Problem, UserError
from eterna.files import read_json_lines

PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
FEWEST_TOKENS = 256 + 3
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


def texts(files: list[Path]) -> Iterator[str]:
    """The text column of every row. Raises UserError for a row without one."""
    for file in files:
        for number, row in read_json_lines(file):
            if isinstance(row, Problem):
                raise UserError(row)
            if not isinstance(row.get("text"), str):
                raise UserError("the row has no text", Place(str(file), number), 'write {"text": "..."}')
            yield row["text"]


def heads_of(hidden: int) -> tuple[int, int]:
    """(heads, key-value heads) of a hidden size: heads of 64 or more, half as many keys where that divides them.

    Raises UserError for a size that cannot be shared out: rotary positions take heads of even size.
    """
    heads = max(1, hidden // 64)
    if hidden < 2 or hidden % (2 * heads):
        near = max(64, round(hidden / 64) * 64)
        raise UserError(f"--hidden is {hidden}, which {heads} heads cannot share", fix=f"--hidden {near}")
    return heads, next(count for count in range(max(1, heads // 2), 0, -1) if heads % count == 0)


def make_shape(out: Path, files: list[Path], vocabulary: int, hidden: int, layers: int, window: int) -> None:
    """Train the tokenizer and write it with config.json into `out`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    if vocabulary < FEWEST_TOKENS or layers < 1 or window < 8:
        message = f"--vocabulary is {vocabulary}, --layers {layers}, --window {window}"
        raise UserError(message, fix=f"from {FEWEST_TOKENS} tokens (the bytes and three marks), 1 layer, a window of 8")
    heads, key_heads = heads_of(hidden)
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts(files), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        chat_template=CHAT_TEMPLATE,
        model_max_length=window,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(out)
    LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=window,
        tie_word_embeddings=True,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=hidden**-0.5 / 2,
        architectures=["LlamaForCausalLM"],
    ).save_pretrained(out)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--vocabulary", type=int, default=6144)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--window", type=int, default=1024)
    chosen = parser.parse_args()
    try:
        make_shape(chosen.out, chosen.files, chosen.vocabulary, chosen.hidden, chosen.layers, chosen.window)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{chosen.out}: tokenizer and shape written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
