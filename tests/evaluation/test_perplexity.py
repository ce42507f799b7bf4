"""Perplexity is token-weighted, independent of batches and windows, and agrees with outside references."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from eterna.data import Encoded, Encoder
from eterna.evaluation import ItemLoss, bootstrap_ratio, perplexity, perplexity_scores, score_items, summarize
from eterna.evaluation.perplexity import _windows


@pytest.fixture(scope="session")
def model(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)


def items(count: int = 7) -> list[Encoded]:
    generator = torch.Generator().manual_seed(2)
    found = []
    for number in range(count):
        length = 4 + 9 * number
        ids = torch.randint(3, 300, (length,), generator=generator).tolist()
        prompt = 1 + number % 3
        found.append(Encoded(f"i{number}", tuple(ids), (0.0,) * prompt + (1.0,) * (length - prompt), 2 * length))
    return found


def reference_nll(model: Any, item: Encoded) -> float:
    """transformers' own loss in float64, one example at a time, no padding."""
    ids = torch.tensor([item.ids])
    labels = torch.tensor([[i if w else -100 for i, w in zip(item.ids, item.weights, strict=True)]])
    with torch.no_grad():
        return float(model.double()(input_ids=ids, labels=labels).loss) * item.trained


def test_each_item_costs_what_plain_transformers_says(model: Any) -> None:
    ours = score_items(model.float(), items(), window=256)
    for item, loss in zip(items(), ours, strict=True):
        assert loss.nll == pytest.approx(reference_nll(model, item), rel=1e-5)
        assert loss.tokens == item.trained
    model.float()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_the_batch_size_does_not_matter(model: Any, batch_size: int) -> None:
    alone = score_items(model, items(), 256, batch_size=1)
    together = score_items(model, items(), 256, batch_size=batch_size)
    assert [loss.nll for loss in together] == pytest.approx([loss.nll for loss in alone], rel=1e-5)


def test_without_padding_and_with_it_items_cost_the_same(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    padded: list[int] = []
    batch_nll = perplexity._batch_nll
    monkeypatch.setattr(perplexity, "_batch_nll", lambda *given: (padded.append(1), batch_nll(*given))[1])
    flat = score_items(model, items(), 32)
    assert padded == []
    monkeypatch.setattr("eterna.fast.kernels_for", lambda *_: None)
    usual = score_items(model, items(), 32)
    assert padded
    assert [loss.nll for loss in flat] == pytest.approx([loss.nll for loss in usual], rel=1e-5)
    assert [loss.tokens for loss in flat] == [loss.tokens for loss in usual]


def test_it_pools_tokens_instead_of_averaging_items() -> None:
    # Hand-worked: 1 token of NLL 3 and 9 tokens of NLL 1 each: exp(12 / 10), not the mean of e^3 and e^1.
    pooled = summarize([ItemLoss("a", "a", 3.0, 1, 4), ItemLoss("b", "b", 9.0, 9, 36)])
    assert pooled.perplexity == pytest.approx(math.exp(1.2))
    assert pooled.perplexity != pytest.approx((math.exp(3) + math.exp(1)) / 2)


def test_bits_per_byte_of_a_hand_worked_case() -> None:
    # 12 nats over 40 bytes: 12 / ln 2 / 40 = 0.4328 bits a byte.
    pooled = summarize([ItemLoss("a", "a", 3.0, 1, 4), ItemLoss("b", "b", 9.0, 9, 36)])
    assert pooled.bits_per_byte == pytest.approx(0.43281, abs=1e-5)


def test_a_uniform_model_has_the_vocabulary_s_perplexity(model: Any) -> None:
    from copy import deepcopy

    flat = deepcopy(model)
    torch.nn.init.zeros_(flat.get_output_embeddings().weight)
    assert summarize(score_items(flat, items(), 256)).perplexity == pytest.approx(400, rel=1e-4)


@pytest.mark.parametrize(("window", "stride"), [(8, 1), (8, 4), (8, 7), (64, 32)])
def test_windows_score_each_trained_token_once(window: int, stride: int) -> None:
    found = items()
    counts = [0] * len(found)
    for piece in _windows(found, window, stride):
        assert len(piece.ids) <= window
        assert not piece.scored[0]
        counts[piece.item] += sum(piece.scored)
    assert counts == [item.trained for item in found]


def test_a_long_text_is_scored_with_context_at_window_borders(model: Any) -> None:
    """A hand-built strided pass over one text is the reference."""
    text = items(9)[-1]
    window, stride = 32, 16
    expected, scored_to = 0.0, 1
    for begin in range(0, len(text.ids), stride):
        end = min(begin + window, len(text.ids))
        piece = torch.tensor([text.ids[begin:end]])
        with torch.no_grad():
            logs = torch.log_softmax(model(input_ids=piece).logits[0].double(), -1)
        for position in range(max(scored_to, begin + 1), end):
            if text.weights[position]:
                expected -= float(logs[position - 1 - begin, text.ids[position]])
        scored_to = end
        if end == len(text.ids):
            break
    assert score_items(model, [text], window, stride=stride)[0].nll == pytest.approx(expected, rel=1e-5)


def test_dropout_is_off_and_the_mode_comes_back(model: Any) -> None:
    model.train()
    first = summarize(score_items(model, items(), 256)).loss
    assert model.training
    assert summarize(score_items(model, items(), 256)).loss == first
    model.eval()


def test_the_stop_token_counts_as_a_token_but_not_as_bytes(model: Any, tiny_tokenizer: Any) -> None:
    example = Encoder(tiny_tokenizer).text("x", "Un libro.")
    loss = score_items(model, [example], 256)[0]
    first = tiny_tokenizer.decode(example.ids[:1])
    assert loss.tokens == len(example.ids) - 1
    assert loss.bytes == len(b"Un libro.") - len(first.encode())


def losses(values: list[float]) -> list[ItemLoss]:
    return [ItemLoss(str(n), f"g{n % 5}", value, 10, 40) for n, value in enumerate(values)]


def test_base_and_tuned_are_compared_on_the_same_draws() -> None:
    base = losses([20.0 + n for n in range(20)])
    tuned = losses([18.0 + n for n in range(20)])
    scores = {(score.metric, score.system): score for score in perplexity_scores(base, tuned, "s")}
    difference = scores["perplexity", "difference"]
    assert difference.value is not None
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low < difference.value < difference.high < 0
    # Paired: every item fell by the same 2 nats, so in bits per byte the difference has no spread at all.
    bits = scores["bits_per_byte", "difference"]
    assert bits.low == pytest.approx(bits.high)
    assert bits.value == pytest.approx(-2 / 40 / math.log(2))


def test_an_infinite_loss_is_not_scored_instead_of_zero() -> None:
    scores = perplexity_scores(losses([1.0] * 3), losses([1e9] * 3), "s")
    perplexity = [score for score in scores if score.metric == "perplexity"]
    assert all(score.value is None for score in perplexity)
    assert all(score.reason for score in perplexity)


def test_items_of_one_group_are_drawn_together() -> None:
    # Two groups, one all 0, one all 1: drawn by group, only three ratios can occur.
    draws = bootstrap_ratio([[0.0] * 5 + [1.0] * 5], [1.0] * 10, ["a"] * 5 + ["b"] * 5)[0]
    assert set(draws) == {0.0, 0.5, 1.0}


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    import random

    from eterna.evaluation.intervals import interval

    source = random.Random(0)
    covered = 0
    for _ in range(200):
        values = [source.gauss(5, 2) for _ in range(60)]
        low, high = interval(bootstrap_ratio([values], [1.0] * 60, [str(n) for n in range(60)])[0])
        covered += low <= 5 <= high
    assert 180 <= covered <= 198


def test_a_voice_is_also_scored_by_itself() -> None:
    def loss(number: int, nll: float, voice: str) -> ItemLoss:
        return ItemLoss(f"i{number}", f"g{number}", nll, 1, 1, (f"voice: {voice}",))

    before = [loss(n, 2.0 if n < 4 else 1.0, "abel" if n < 4 else "ida") for n in range(9)]
    after = [loss(n, 1.0, "abel" if n < 4 else "ida") for n in range(9)]
    found = {(row.part, row.system): row.value for row in perplexity_scores(before, after, "s")}
    assert found["voice: abel", "base"] == pytest.approx(math.e**2)
    assert found["voice: ida", "base"] == found["voice: ida", "tuned"] == pytest.approx(math.e)
    assert found["voice: abel", "difference"] == pytest.approx(math.e - math.e**2)
    alone = perplexity_scores(before[4:], after[4:], "s")
    assert {row.part for row in alone} == {""}  # one voice has no slice of its own
