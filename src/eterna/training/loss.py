"""The loss: a weighted sum over labelled tokens, to be divided by the weights of the whole optimizer step.

Legend: B examples, T tokens, V vocabulary, N labelled tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def weighted_loss_sum(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """Sum of weight times cross-entropy over the labelled tokens, in float32.

    logits: (B, T, V), position t predicts token t + 1. labels: (B, T), not shifted, -100 where nothing is learnt.
    weights: (B, T), the weight of the token at that position. smoothing: label smoothing as in torch's cross_entropy
    (Szegedy et al., arXiv:1512.00567). Zero, with a gradient of zero, when no token is labelled.
    """
    targets = labels[:, 1:]
    chosen = (targets != -100) & (weights[:, 1:] > 0)  # (B, T - 1)
    picked = logits[:, :-1][chosen].float()  # (N, V)
    if picked.shape[0] == 0:
        return logits.float().sum() * 0.0
    losses = functional.cross_entropy(picked, targets[chosen], reduction="none", label_smoothing=smoothing)  # (N,)
    return torch.dot(losses, weights[:, 1:][chosen].to(losses.dtype))


def weight_and_token_sum(batches: list[dict[str, Tensor]]) -> Tensor:
    """(2,): loss weight and number of real tokens of some micro-batches. The first token of a row never carries loss.

    The tokens of a micro-batch without any loss are not counted: it may hold a filler.
    """
    weight = sum(float(batch["loss_weights"][:, 1:].double().sum()) for batch in batches)
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches if batch["loss_weights"].any())
    return torch.tensor([weight, tokens], dtype=torch.float64)
