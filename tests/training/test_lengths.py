"""Orders by length: the same examples, less padding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eterna.data.batches import FILLER
from eterna.seeding import order_of_epoch
from eterna.training.lengths import BalancedBatches, group_by_length
from eterna.training.order import EpochOrder

LENGTHS = [5 + (number * 37) % 90 for number in range(64)]
IDS = [f"e{number}" for number in range(64)]


def padding(positions: list[int], batch: int) -> int:
    """Padded tokens of batches in this order."""
    batches = [positions[start : start + batch] for start in range(0, len(positions), batch)]
    return sum(max(LENGTHS[n] for n in some) * len(some) - sum(LENGTHS[n] for n in some) for some in batches)


def epoch(number: int) -> list[int]:
    return order_of_epoch(IDS, [1.0] * len(IDS), 3, number)


def test_grouping_by_length_pads_less() -> None:
    assert padding(group_by_length(epoch(0), LENGTHS, 4), 4) < padding(epoch(0), 4) / 2


def test_grouping_leaves_epochs_different() -> None:
    assert group_by_length(epoch(0), LENGTHS, 4) != group_by_length(epoch(1), LENGTHS, 4)


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(1, 9))
def test_grouping_keeps_every_position_and_puts_the_longest_first(lengths: list[int], batch: int) -> None:
    found = group_by_length(range(len(lengths)), lengths, batch)
    assert sorted(found) == list(range(len(lengths)))
    if found:
        assert lengths[found[0]] == max(lengths)


def test_balanced_batches_of_two_processes_are_one_step_s_examples() -> None:
    order = EpochOrder(IDS, [1.0] * len(IDS), seed=3)
    shares = [list(BalancedBatches(order, LENGTHS, 16, 2, 2, rank, False)) for rank in (0, 1)]
    for step in range(4):
        taken = [n for share in shares for batch in share[2 * step : 2 * step + 2] for n in batch]
        assert sorted(taken) == sorted(epoch(0)[16 * step : 16 * step + 16])


def test_balanced_batches_of_a_shorter_epoch_are_as_many() -> None:
    order = EpochOrder(IDS[:9], [0.5] + [1.0] * 8, seed=3)
    batches = BalancedBatches(order, LENGTHS, 3, 1, 1, 0, False)
    order.start_epoch(1)
    found = list(batches)
    assert len(found) == len(batches) == 3
    assert sorted(n for batch in found for n in batch) == [FILLER, *range(1, 9)]


def test_balanced_batches_follow_the_epoch_and_the_weights() -> None:
    order = EpochOrder(IDS[:63], [2.0] + [1.0] * 62, seed=3)
    batches = BalancedBatches(order, LENGTHS, 8, 1, 2, 0, False)
    first = list(batches)
    order.start_epoch(1)
    second = list(batches)
    assert first != second
    assert sorted(n for batch in first for n in batch) == sorted([0, *range(63)])
