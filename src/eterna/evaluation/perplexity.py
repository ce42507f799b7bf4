"""Perplexity on held-out text.

    perplexity     exp(total NLL / total scored tokens), 1 is perfect, lower is better
    bits per byte  total NLL / ln 2 / UTF-8 bytes of the scored text, comparable between tokenizers, lower is better

The sums run over all scored tokens of all items: never a mean of per-item or per-batch perplexities. Scored are the
tokens that carry loss in training (answers with their stop token; of plain text all but the first, which nothing
predicts). Texts past the window are scored in overlapping windows: each token once, with at least window - stride
tokens of context before it where there are so many. Softmax in float32, dropout off, no padding counts.

Source: Hugging Face's "Perplexity of fixed-length models" for the strided window; EleutherAI's lm-evaluation-harness
for bits per byte. Known weakness: a low perplexity says that the text is expected, not that it is good.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eterna.data import Encoded
from eterna.evaluation.intervals import bootstrap_ratio, not_scored, paired_scores, signed
from eterna.models import adapters_merged
from eterna.runs import Score

SHOWN_SLICE = 4  # a slice with fewer items gets no figures of its own


@dataclass(frozen=True)
class ItemLoss:
    """What one item cost: total negative log likelihood in nats over its scored tokens."""

    id: str
    group: str
    nll: float
    tokens: int
    bytes: int
    slices: tuple[str, ...] = ()
    """What figures are also given for, such as `voice: abel`."""


@dataclass(frozen=True)
class Perplexity:
    """The figures of one pass."""

    loss: float
    """Mean NLL per scored token, nats."""
    perplexity: float
    bits_per_byte: float | None
    """None when no scored token stands for text."""
    tokens: int


@dataclass(frozen=True)
class _Window:
    item: int
    ids: tuple[int, ...]
    scored: tuple[bool, ...]


def _windows(items: Sequence[Encoded], window: int, stride: int) -> Iterator[_Window]:
    """Cut each item into windows in which every trained token is scored exactly once."""
    for number, item in enumerate(items):
        length = len(item.ids)
        scored_to = 1  # position 0 is never scored
        begin = 0
        while scored_to < length:
            end = min(begin + window, length)
            flags = tuple(position >= scored_to and item.weights[position] > 0 for position in range(begin, end))
            if any(flags):
                yield _Window(number, item.ids[begin:end], flags)
            scored_to = end
            begin = max(0, end - window + stride)


def default_stride(window: int) -> int:
    """New tokens per window when nobody says otherwise: half of it."""
    return max(1, window // 2)


def score_items(
    model: Any, items: Sequence[Encoded], window: int, batch_size: int = 8, stride: int | None = None
) -> list[ItemLoss]:
    """NLL of every item, in the order given. The model's mode is left as it was.

    window: tokens per forward pass; stride: new tokens per window (half the window when left out). Batches are made
    by length and cannot change the figures beyond rounding.
    """
    import torch

    stride = stride or default_stride(window)
    if not 0 < stride < window:
        raise ValueError(f"stride {stride} must be below the window {window}")
    pieces = sorted(_windows(items, window, stride), key=lambda piece: len(piece.ids))
    totals = [0.0] * len(items)
    counts = [0] * len(items)
    was_training = model.training
    model.eval()
    with torch.no_grad(), adapters_merged(model):
        for piece, nll in _piece_losses(model, pieces, batch_size):
            totals[piece.item] += nll
            counts[piece.item] += sum(piece.scored)
    model.train(was_training)
    return [
        ItemLoss(item.id, item.group, totals[number], counts[number], item.trained_bytes, item.slices)
        for number, item in enumerate(items)
    ]


def _piece_losses(model: Any, pieces: Sequence[_Window], batch_size: int) -> Iterator[tuple[_Window, float]]:
    """NLL of each window: on the fast path where its kernels are, else in padded batches."""
    from eterna.fast import CPU_TOKENS, FastPath, fill, kernels_for, why_not

    first = next(model.parameters())
    if why_not(model) or kernels_for(first, model.dtype) is None:
        for start in range(0, len(pieces), batch_size):
            batch = pieces[start : start + batch_size]
            yield from zip(batch, _batch_nll(model, batch, first.device), strict=True)
        return
    path = FastPath(model, model.dtype)
    lengths = [len(piece.ids) for piece in pieces]
    for places in fill(lengths, max([CPU_TOKENS, *lengths])):
        batch = [pieces[place] for place in places]
        with path.lent():
            losses = _flat_nll(model, batch)
        yield from zip(batch, losses, strict=True)


def _flat_nll(model: Any, batch: Sequence[_Window]) -> list[float]:
    """NLL of the scored tokens of each window, laid one after another."""
    import torch

    from eterna.fast import part_of

    part = part_of([(torch.tensor(piece.ids), torch.tensor(piece.scored).float()) for piece in batch])
    losses = model(**part, each=True).loss[part["weights"] > 0].double()
    scored = [sum(piece.scored[1:]) for piece in batch]
    return [float(one.sum()) for one in losses.split(scored)]


def _batch_nll(model: Any, batch: Sequence[_Window], device: Any) -> list[float]:
    """NLL of the scored tokens of each window. Legend: B windows, T tokens of the longest, V vocabulary."""
    import torch

    width = max(len(piece.ids) for piece in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.long)  # (B, T)
    mask = torch.zeros((len(batch), width), dtype=torch.long)  # (B, T)
    scored = torch.zeros((len(batch), width), dtype=torch.bool)  # (B, T)
    for row, piece in enumerate(batch):
        length = len(piece.ids)
        ids[row, :length] = torch.tensor(piece.ids)
        mask[row, :length] = 1
        scored[row, :length] = torch.tensor(piece.scored)
    logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits  # (B, T, V)
    sums = []
    for row in range(len(batch)):
        chosen = scored[row, 1:].nonzero().squeeze(1).to(device)  # positions that predict a scored token
        targets = ids[row, 1:].to(device)[chosen]
        log_probs = torch.log_softmax(logits[row, chosen].float(), dim=-1)
        sums.append(float(-log_probs.gather(1, targets[:, None]).double().sum()))
    return sums


def summarize(losses: Sequence[ItemLoss]) -> Perplexity:
    """Pool the items. Raises ValueError when nothing was scored."""
    tokens = sum(loss.tokens for loss in losses)
    if not tokens:
        raise ValueError("no token was scored")
    nll = math.fsum(loss.nll for loss in losses)
    size = sum(loss.bytes for loss in losses)
    mean = nll / tokens
    return Perplexity(mean, safe_exp(mean), nll / math.log(2) / size if size else None, tokens)


def safe_exp(mean: float) -> float:
    """exp, infinite instead of an overflow error; NaN stays NaN."""
    return math.inf if mean >= 700 else math.exp(mean)


def perplexity_scores(
    base: Sequence[ItemLoss], tuned: Sequence[ItemLoss], signature: str, tokenizer: str = ""
) -> list[Score]:
    """Perplexity and bits per byte of base and tuned with their paired difference, each with a 95 % interval.

    The difference is tuned - base: below zero, the tuned model expects the text better. tokenizer: its name in the
    signature of perplexity, which counts tokens; bits per byte can be compared between tokenizers. Perplexity is also
    given for each voice, place, book and language that some items have and others do not, from SHOWN_SLICE items on.
    """
    # An item without a scored token costs nothing; drawn alone it would stand for no text.
    kept = [(before, after) for before, after in zip(base, tuned, strict=True) if before.tokens]
    scores = _scores_of(kept, ("perplexity", "bits_per_byte"), signature, tokenizer)
    for name in dict.fromkeys(name for before, _ in kept for name in before.slices):
        chosen = [pair for pair in kept if name in pair[0].slices]
        if SHOWN_SLICE <= len(chosen) < len(kept):
            scores += _scores_of(chosen, ("perplexity",), signature, tokenizer, name)
    return scores


def _scores_of(
    kept: Sequence[tuple[ItemLoss, ItemLoss]], wanted: Sequence[str], signature: str, tokenizer: str, part: str = ""
) -> list[Score]:
    rows = [[before.nll for before, _ in kept], [after.nll for _, after in kept]]
    groups = [before.group for before, _ in kept]
    scores: list[Score] = []
    for metric, per, transform, own in (
        ("perplexity", [float(before.tokens) for before, _ in kept], safe_exp, signed(signature, tokenizer)),
        ("bits_per_byte", [float(before.bytes) for before, _ in kept], lambda mean: mean / math.log(2), signature),
    ):
        if metric not in wanted:
            continue
        if not sum(per):
            scores += not_scored(metric, "no scored token stands for text", "lower", own)
            continue
        values = [transform(math.fsum(row) / sum(per)) for row in rows]
        if not all(map(math.isfinite, values)):
            scores += not_scored(metric, "the loss is not a finite number", "lower", own)
            continue
        draws = [[transform(ratio) for ratio in system] for system in bootstrap_ratio(rows, per, groups)]
        scores += paired_scores(metric, values, draws, len(kept), "lower", own, part)
    return scores
