"""Order is a pure function of seed, epoch and example id."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eterna.seeding import order_of_epoch, seed_for

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30, unique=True)


@given(NAMES, st.integers(0, 2**32 - 1), st.integers(0, 50))
def test_weight_one_sees_every_example_once(names: list[str], seed: int, epoch: int) -> None:
    assert sorted(order_of_epoch(names, [1.0] * len(names), seed, epoch)) == list(range(len(names)))


@given(NAMES, st.integers(0, 2**32 - 1))
def test_the_order_of_two_examples_does_not_depend_on_the_others(names: list[str], seed: int) -> None:
    whole = [names[position] for position in order_of_epoch(names, [1.0] * len(names), seed, 3)]
    half = names[::2]
    part = [half[position] for position in order_of_epoch(half, [1.0] * len(half), seed, 3)]
    assert [name for name in whole if name in half] == part


def test_a_weight_repeats_or_thins_out_examples() -> None:
    names = [f"e{n}" for n in range(10)]
    order = order_of_epoch(names, [2.0] * 5 + [0.4] * 5, seed=1, epoch=0)
    assert [order.count(position) for position in range(5)] == [2] * 5
    assert sum(position >= 5 for position in order) == 2


@given(NAMES, st.integers(0, 2**32 - 1), st.decimals(0, 3, places=2), st.integers(1, 12))
def test_after_any_epochs_each_example_was_seen_its_share(
    names: list[str], seed: int, weight: Decimal, epochs: int
) -> None:
    orders = [order_of_epoch(names, [float(weight)] * len(names), seed, epoch) for epoch in range(epochs)]
    for position in range(len(names)):
        assert abs(sum(order.count(position) for order in orders) - epochs * weight) < 1
    assert len(orders[0]) == math.ceil(len(names) * weight)
    assert all(0 <= len(orders[0]) - len(order) <= 1 for order in orders)


@pytest.mark.parametrize(("weight", "epochs"), [(0.5, [0, 2, 4]), (0.2, [0, 5]), (0.7, [0, 1, 2, 4, 5])])
def test_a_single_example_is_seen_in_some_epochs_and_first_of_all(weight: float, epochs: list[int]) -> None:
    assert [epoch for epoch in range(6) if order_of_epoch(["a"], [weight], 1, epoch)] == epochs


def test_a_thinned_source_shows_other_examples_in_other_epochs() -> None:
    names = [f"e{n}" for n in range(100)]
    seen = {position for epoch in range(6) for position in order_of_epoch(names, [0.5] * 100, 1, epoch)}
    assert len(seen) > 90


def test_seeds_for_different_purposes_differ() -> None:
    assert seed_for(1, "weights") != seed_for(1, "lora") != seed_for(2, "lora")
