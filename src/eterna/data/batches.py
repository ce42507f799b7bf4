"""Encoded examples to padded batches.

Legend: B examples in the batch, T tokens of the longest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from eterna.data.encoding import Encoded

NOT_TRAINED = -100
FILLER = -1
"""Position that stands for no example: it fills up the last batches of an epoch, so that every process has as many."""
NO_EXAMPLE = Encoded("", (), (), 0)


class TokenizedExamples(Dataset[Encoded]):  # type: ignore[misc]
    """The encoded examples as a torch dataset."""

    def __init__(self, examples: Sequence[Encoded]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Encoded:
        return NO_EXAMPLE if index == FILLER else self.examples[index]


class Collator:
    """Pads on the right to the longest example; padding is masked and carries no loss.

    Fillers leave no row. A batch of nothing else is one padding token without loss: its process has to take part in
    the step, with a gradient of zero.
    """

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, examples: Sequence[Encoded]) -> dict[str, Any]:
        """A batch: input_ids, attention_mask, labels int64 (B, T), loss_weights float32 (B, T).

        `labels` holds -100 where a token carries no loss, the token's own id elsewhere (not shifted).
        """
        examples = [example for example in examples if example.ids] or [Encoded("", (self.pad_token_id,), (0.0,), 0)]
        width = max(len(example.ids) for example in examples)
        shape = (len(examples), width)
        ids = torch.full(shape, self.pad_token_id, dtype=torch.long)  # (B, T)
        mask = torch.zeros(shape, dtype=torch.long)  # (B, T)
        weights = torch.zeros(shape, dtype=torch.float32)  # (B, T)
        for row, example in enumerate(examples):
            length = len(example.ids)
            ids[row, :length] = torch.tensor(example.ids)
            mask[row, :length] = 1
            weights[row, :length] = torch.tensor(example.weights)
        labels = ids.masked_fill(weights == 0, NOT_TRAINED)
        return {"input_ids": ids, "attention_mask": mask, "labels": labels, "loss_weights": weights}
