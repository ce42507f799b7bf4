"""The loss is exact for any split of the optimizer step."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from eterna.data import Encoded
from eterna.data.batches import FILLER, NO_EXAMPLE, Collator, TokenizedExamples
from eterna.training.loss import weight_and_token_sum, weighted_loss_sum


def random_case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 5, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 7, (2, 5), generator=generator)
    labels[0, :3] = -100
    return logits, labels, (labels != -100).double()


def test_it_is_the_sum_of_cross_entropies_of_labelled_tokens() -> None:
    logits, labels, weights = random_case()
    expected = functional.cross_entropy(
        logits[:, :-1].reshape(-1, 7), labels[:, 1:].reshape(-1), ignore_index=-100, reduction="sum"
    )
    assert weighted_loss_sum(logits, labels, weights).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_hand_worked_case() -> None:
    # One predicted token, two equal logits: -ln(1/2) = 0.6931..., times its weight 3.
    logits = torch.zeros(1, 2, 2)
    labels, weights = torch.tensor([[-100, 1]]), torch.tensor([[0.0, 3.0]])
    assert weighted_loss_sum(logits, labels, weights).item() == pytest.approx(3 * 0.693147, abs=1e-5)


def test_label_smoothing_is_torch_s_own() -> None:
    logits, labels, weights = random_case()
    expected = functional.cross_entropy(
        logits[:, :-1].reshape(-1, 7), labels[:, 1:].reshape(-1), reduction="sum", label_smoothing=0.1
    )
    assert weighted_loss_sum(logits, labels, weights, 0.1).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_micro_batch_without_labels_gives_zero_and_a_zero_gradient() -> None:
    logits = torch.randn(1, 3, 4, requires_grad=True)
    labels = torch.full((1, 3), -100)
    loss = weighted_loss_sum(logits, labels, torch.zeros(1, 3))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_padding_neither_counts_nor_carries_loss() -> None:
    short = Encoded("a", (5, 6, 7), (0.0, 1.0, 1.0), 3)
    long = Encoded("b", (1, 2, 3, 4, 5), (0.0, 0.0, 1.0, 1.0, 1.0), 3)
    batch = Collator(pad_token_id=9)([short, long])
    assert batch["input_ids"][0].tolist() == [5, 6, 7, 9, 9]
    assert batch["labels"][0].tolist() == [-100, 6, 7, -100, -100]
    assert weight_and_token_sum([batch]).tolist() == [5.0, 8.0]


def test_fillers_leave_no_row() -> None:
    example = Encoded("a", (5, 6, 7), (0.0, 1.0, 1.0), 3)
    data = TokenizedExamples([example])
    batch = Collator(pad_token_id=9)([data[0], data[FILLER]])
    assert batch["input_ids"].tolist() == [[5, 6, 7]]


def test_a_batch_of_fillers_carries_no_loss_and_no_token() -> None:
    batch = Collator(pad_token_id=9)([NO_EXAMPLE, NO_EXAMPLE])
    assert batch["input_ids"].tolist() == [[9]]
    assert weight_and_token_sum([batch]).tolist() == [0.0, 0.0]
