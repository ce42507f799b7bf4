"""A 5-gram model of tokens with interpolated Kneser-Ney smoothing, to compare the base model with.

Source: Kneser and Ney (1995), "Improved backing-off for m-gram language modeling"; the interpolated form and the
discount n1 / (n1 + 2 n2) of each order are those of Chen and Goodman (1998), "An empirical study of smoothing
techniques for language modeling". Checked against its definition on a small text in tests/test_base_recipe.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

ORDER = 5


class _Order:
    """The n-grams of one length: what follows each context, how often, and with which discount."""

    def __init__(self, keys: Any, contexts: Any, counts: Any) -> None:
        """keys: (G,) sorted, context * vocabulary + token; contexts: (G,); counts: (G,)."""
        self.keys, self.counts = keys, counts
        size = int(contexts.max()) + 1
        self.totals = np.bincount(contexts, counts, size)
        self.kinds = np.bincount(contexts, counts > 0, size)
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        self.discount = once / (once + 2 * twice) if once and twice else 0.5


class FiveGrams:
    """P(token | the four before it)."""

    def __init__(self, tokens: Sequence[int], vocabulary: int) -> None:
        """tokens: (T,) the training text, more than five; vocabulary: number of tokens there are."""
        self.vocabulary = vocabulary
        text = np.asarray(tokens, dtype=np.int64)
        self.orders: list[_Order] = []
        found: list[tuple[Any, Any, Any]] = []  # keys, raw counts, and the number of the n-gram that ends at each place
        place: Any = np.zeros(len(text), dtype=np.int64)  # of the (n-1)-gram that ends at each place; none is number 0
        for length in range(1, ORDER + 1):
            before = np.concatenate(([0], place[:-1])) if length > 1 else np.zeros_like(place)
            keys, inverse, counts = np.unique(
                before[length - 1 :] * vocabulary + text[length - 1 :], return_inverse=True, return_counts=True
            )
            place = np.concatenate((np.zeros(length - 1, dtype=np.int64), inverse))
            found.append((keys, counts, place))
        for length in range(1, ORDER + 1):
            keys, counts, place = found[length - 1]
            if length < ORDER:  # how many different tokens stand before it, instead of how often it occurs
                longer, ends = found[length][0], found[length][2]
                last: Any = np.zeros(len(longer), dtype=np.int64)
                last[ends[length:]] = np.arange(length, len(text))
                counts = np.bincount(place[last], minlength=len(keys))
            self.orders.append(_Order(keys, keys // vocabulary, counts))

    def bits(self, tokens: Sequence[int]) -> float:
        """Bits of all tokens but the first. tokens: (T,), at least one."""
        text = np.asarray(tokens, dtype=np.int64)
        share = np.full(len(text), 1.0 / self.vocabulary)
        ends: Any = np.zeros(len(text), dtype=np.int64)  # the (n-1)-gram that ends at each place; -1: unknown
        for length, order in enumerate(self.orders, start=1):
            context = np.concatenate(([-1], ends[:-1])) if length > 1 else np.zeros_like(text)
            known = (context >= 0) & (context < len(order.totals))
            key = np.where(known, context, 0) * self.vocabulary + text
            spot = np.minimum(np.searchsorted(order.keys, key), len(order.keys) - 1)
            hit = known & (order.keys[spot] == key)
            rows = context[known]
            total = order.totals[rows]
            seen = np.where(hit, order.counts[spot], 0)[known]
            left = order.discount * order.kinds[rows] * share[known]
            here = (np.maximum(seen - order.discount, 0) + left) / np.maximum(total, 1)
            share[known] = np.where(total > 0, here, share[known])
            ends = np.where(hit, spot, -1)
        return float(-np.log2(share[1:]).sum())
