"""Order, windows, batches and prompts keep their laws on whatever they are given."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.effort import tried

from eterna.data import Encoded
from eterna.data.batches import Collator
from eterna.data.prepare import SourceReport, fit
from eterna.errors import Problem
from eterna.seeding import order_of_epoch
from eterna.world.prompt import Message, fit_turns

weights = st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.3]) | st.floats(0.01, 5)
weighted = st.dictionaries(st.text(max_size=6), weights, min_size=1, max_size=12)


@tried
@given(weighted, st.integers(0, 2**32 - 1), st.integers(0, 50), st.randoms(use_true_random=False))
def test_the_order_depends_on_seed_epoch_and_ids_alone(found, seed, epoch, random) -> None:  # type: ignore[no-untyped-def]
    ids = list(found)
    shuffled = list(found)
    random.shuffle(shuffled)
    first = [ids[place] for place in order_of_epoch(ids, [found[name] for name in ids], seed, epoch)]
    again = [shuffled[place] for place in order_of_epoch(shuffled, [found[name] for name in shuffled], seed, epoch)]
    assert first == again


@tried
@given(weighted, st.integers(0, 2**32 - 1), st.integers(0, 50))
def test_every_example_gets_its_weight_s_share(found: dict[str, float], seed: int, epoch: int) -> None:
    ids, shares = list(found), list(found.values())
    seen = Counter(ids[place] for place in order_of_epoch(ids, shares, seed, epoch))
    for name, weight in found.items():
        assert math.floor(weight) <= seen[name] <= math.ceil(weight)
    for weight, count in Counter(shares).items():
        total = sum(seen[name] for name in ids if found[name] == weight)
        assert abs(total - weight * count) < 1


@st.composite
def encoded(draw: st.DrawFn) -> Encoded:
    """A text: everything but the first token is trained. Ids are positions, so that each can be told apart."""
    length = draw(st.integers(2, 90))
    return Encoded("x", tuple(range(length)), (0.0, *[1.0] * (length - 1)), 1)


@st.composite
def conversations(draw: st.DrawFn) -> Encoded:
    """Runs of context and answer by turns."""
    row: list[float] = []
    for _ in range(draw(st.integers(1, 4))):
        row += [0.0] * draw(st.integers(1, 12)) + [draw(st.sampled_from([1.0, 0.5]))] * draw(st.integers(1, 12))
    return Encoded("x", tuple(range(len(row))), tuple(row), 1)


def report() -> SourceReport:
    return SourceReport("train", "x", "0", 1.0)


@tried
@given(encoded(), st.integers(8, 40))
def test_windows_train_every_token_once(example: Encoded, window: int) -> None:
    pieces = fit(example, False, window, "split", report())
    assert isinstance(pieces, list)
    trained = [item for piece in pieces for item, weight in zip(piece.ids, piece.weights, strict=True) if weight]
    assert trained == list(range(1, len(example.ids)))
    assert all(len(piece.ids) <= window and piece.weights[0] == 0 for piece in pieces)


@tried
@given(conversations(), st.integers(8, 40), st.sampled_from(["error", "drop", "cut_left", "split"]))
def test_no_conversation_loses_its_last_answer_and_nothing_is_lost_uncounted(
    example: Encoded, window: int, policy: str
) -> None:
    counted = report()
    pieces = fit(example, True, window, policy, counted)
    if isinstance(pieces, Problem):
        assert len(example.ids) > window
        assert pieces.fix
        return
    kept = sum(len(piece.ids) for piece in pieces)
    assert kept + counted.cut == len(example.ids) or (counted.dropped == 1 and not pieces)
    for piece in pieces:
        assert len(piece.ids) <= window
        assert piece.trained > 0
        assert piece.ids[-1] == example.ids[-1]


@tried
@given(st.lists(encoded() | conversations(), min_size=1, max_size=6), st.integers(100, 200))
def test_a_batch_holds_each_example_and_trains_nothing_else(examples: list[Encoded], padding: int) -> None:
    batch = Collator(padding)(examples)
    for row, example in enumerate(examples):
        length = len(example.ids)
        assert tuple(batch["input_ids"][row, :length].tolist()) == example.ids
        assert tuple(batch["loss_weights"][row, :length].tolist()) == example.weights
        assert batch["attention_mask"][row].sum() == length
        assert (batch["input_ids"][row, length:] == padding).all()
        labels = [item if weight else -100 for item, weight in zip(example.ids, example.weights, strict=True)]
        assert batch["labels"][row].tolist() == labels + [-100] * (batch["labels"].shape[1] - length)


def words(messages: object) -> int:
    return sum(len(message["content"].split()) for message in messages)  # type: ignore[attr-defined]


turns = st.lists(st.text("ab ", max_size=12), min_size=1, max_size=9)


@tried
@given(st.booleans(), turns, st.integers(0, 30))
def test_a_prompt_keeps_its_head_and_its_newest_turns(head: bool, texts: list[str], budget: int) -> None:
    system: list[Message] = [{"role": "system", "content": "a b c"}] if head else []
    spoken: list[Message] = [
        {"role": "user" if number % 2 else "assistant", "content": text} for number, text in enumerate(texts)
    ]
    kept, dropped = fit_turns([*system, *spoken], words, budget)
    assert kept == [*system, *spoken[dropped:]]
    assert len(kept) > len(system)
    assert words(kept) <= budget or len(kept) == len(system) + 1
    assert not dropped or words([*system, *spoken[max(dropped - 2, 0) :]]) > budget
