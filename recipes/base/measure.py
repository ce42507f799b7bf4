"""Bits per byte on the authors that the base model never saw, next to xz and a 5-gram model.

    python -m recipes.base.measure MODEL CORPORA build/base

MODEL: the model's folder; CORPORA and build/base as for recipes.base.texts. The first 20,000 words of each book are
scored, in windows that overlap by half. xz compresses the same words, each book by itself. The 5-gram model has the
same tokens and the same training books.
"""

from __future__ import annotations

import json
import lzma
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from recipes.base.five_grams import FiveGrams
from recipes.base.texts import NOVELS, UNSEEN_AUTHORS, UNSEEN_SPANISH, author_and_title

from eterna.data import Encoded, Encoder
from eterna.data.books import read_book
from eterna.errors import UserError
from eterna.files import read_json_lines

LONGEST = 20_000  # words of each book: the float32 model reads some thousand tokens a second
NAMES = {"Wcollins": "Wilkie Collins", "galdos": "Pérez Galdós", "gomez": "Gómez de Avellaneda"}


def unseen_books(corpora: Path) -> dict[str, list[str]]:
    """How the books of each author that is kept out begin."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder in (*NOVELS, UNSEEN_SPANISH):
        for file in sorted((corpora / folder).glob("*.txt")):
            author = author_and_title(file.stem)[0] or file.stem.split("_")[0]
            if folder == UNSEEN_SPANISH or author in UNSEEN_AUTHORS:
                text = "\n\n".join(scene.text for scene in read_book(file).scenes)
                found[NAMES.get(author, author)].append(beginning(text))
    return dict(found)


def beginning(text: str, words: int = LONGEST) -> str:
    """The text's first words, with the blanks and line ends between them as they are."""
    ends = islice(re.finditer(r"\S+", text), words)
    return text[: max((word.end() for word in ends), default=0)]


def by_model(model: Any, encoder: Encoder, books: Sequence[str], window: int) -> float:
    """Total bits of the books' bytes."""
    from eterna.evaluation.perplexity import score_items

    items: list[Encoded] = [encoder.text(f"book-{number}", text) for number, text in enumerate(books)]
    return sum(one.nll for one in score_items(model, items, window)) / math.log(2)


def by_xz(books: Iterable[str]) -> float:
    """Total bits of the books, each compressed by itself."""
    return 8.0 * sum(len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)) for text in books)


def measure(folder: Path, corpora: Path, made: Path) -> dict[str, dict[str, float]]:
    """author: {"bytes", "model", "five_grams", "xz"}, the last three in bits per byte.

    Raises UserError where there is no model, none of the books kept out, or nothing written by recipes.base.texts.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise UserError(f"no model in {folder}", fix="name the folder with its config.json")
    unseen = unseen_books(corpora)
    if not unseen:
        raise UserError(f"none of the books kept out is in {corpora}", fix="recipes/base/README.md says where they are")
    texts = [row["text"] for _, row in read_json_lines(made / "books.jsonl") if isinstance(row, dict)]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    encoder = Encoder(tokenizer)

    def tokens(text: str) -> list[int]:
        return list(encoder.text("", text).ids)

    grams = FiveGrams([token for text in texts for token in tokens(text)], len(tokenizer))
    found = {}
    for author, books in unseen.items():
        size = sum(len(text.encode()) for text in books)
        found[author] = {
            "bytes": size,
            "model": by_model(model, encoder, books, model.config.max_position_embeddings) / size,
            "five_grams": sum(grams.bits(tokens(text)) for text in books) / size,
            "xz": by_xz(books) / size,
        }
    return found


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.stderr.write("usage: python -m recipes.base.measure MODEL CORPORA build/base\n")
        sys.exit(2)
    try:
        figures = measure(*map(Path, sys.argv[1:]))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    json.dump(figures, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
