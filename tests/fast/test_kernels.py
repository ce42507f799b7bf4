"""Each kernel against torch's own operations, and the library around them."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from eterna.fast.build import find_kernels
from eterna.fast.loss import labelled_loss
from eterna.fast.rows import Mask, add_norm, gated, run

TYPES = [(torch.float32, 2e-6), (torch.bfloat16, 6e-3)]
types = pytest.mark.parametrize(("dtype", "tolerance"), TYPES, ids=["float32", "bfloat16"])


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def close(found: Tensor | None, expected: Tensor | None, tolerance: float) -> bool:
    assert found is not None
    assert expected is not None
    found, expected = found.detach().double(), expected.detach().double()
    return float((found - expected).norm() / expected.norm()) <= tolerance


def test_the_kernels_are_built_here() -> None:
    """Without them every other test of this file would compare torch with itself."""
    assert find_kernels(half=False) is not None
    assert find_kernels(half=True) is not None


POOLS = """
import torch
from pathlib import Path
from eterna.fast.build import find_kernels

def pools():
    return {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "omp" in line}

before = pools()
assert find_kernels(half=False) is not None
assert before and pools() == before, (before, pools())
"""


def test_the_kernels_bring_no_pool_of_threads_of_their_own() -> None:
    """Two pools on the same cores wait for each other."""
    done = subprocess.run([sys.executable, "-c", POOLS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_they_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETERNA_KERNELS", "off")
    assert find_kernels.__wrapped__(half=False) is None


@types
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_norm_of_a_sum(dtype: torch.dtype, tolerance: float, offset: float) -> None:
    h, weight = torch.randn(37, 96, requires_grad=True), torch.randn(96, requires_grad=True)
    delta = torch.randn(37, 96).to(dtype).requires_grad_()
    total, normed = add_norm(h, delta, weight, 1e-5, offset, dtype)
    way, other = torch.randn(37, 96).to(dtype), torch.randn(37, 96)
    torch.autograd.backward([normed, total], [way, other])
    found = [one.grad for one in (h, delta, weight)]
    exact = [one.detach().double().requires_grad_() for one in (h, delta, weight)]
    summed = exact[0] + exact[1]
    expected = functional.rms_norm(summed, (96,), eps=1e-5) * (exact[2] + offset)
    torch.autograd.backward([expected, summed], [way.double(), other.double()])
    assert close(normed, expected.detach(), tolerance)
    assert close(total, summed.detach(), 1e-6)
    assert all(close(one, true.grad, tolerance) for one, true in zip(found, exact, strict=True))


@types
@pytest.mark.parametrize("activation", ["silu", "gelu_pytorch_tanh"])
def test_gated_units(dtype: torch.dtype, tolerance: float, activation: str) -> None:
    gate, up = (torch.randn(19, 77).mul(4).to(dtype).requires_grad_() for _ in range(2))
    way = torch.randn(19, 77).to(dtype)
    made = gated(gate, up, activation)
    made.backward(way)
    exact = [one.detach().double().requires_grad_() for one in (gate, up)]
    value = functional.silu(exact[0]) if activation == "silu" else functional.gelu(exact[0], approximate="tanh")
    expected = value * exact[1]
    expected.backward(way.double())
    assert close(made, expected.detach(), tolerance)
    assert close(gate.grad, exact[0].grad, tolerance)
    assert close(up.grad, exact[1].grad, tolerance)


@types
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_with_its_gradient(dtype: torch.dtype, tolerance: float, smoothing: float) -> None:
    hidden, weights = torch.randn(50, 32).to(dtype).requires_grad_(), torch.rand(50)
    head = torch.nn.Linear(32, 501, bias=False).to(dtype)
    targets = torch.randint(501, (50,))
    labelled_loss(hidden, head, targets, weights, smoothing).backward()
    exact, matrix = hidden.detach().double().requires_grad_(), head.weight.detach().double().requires_grad_()
    losses = functional.cross_entropy(exact @ matrix.t(), targets, reduction="none", label_smoothing=smoothing)
    (losses * weights).sum().backward()
    assert close(hidden.grad, exact.grad, tolerance)
    assert close(head.weight.grad, matrix.grad, tolerance)


def test_many_logits_are_taken_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    head, hidden, targets = torch.nn.Linear(16, 99, bias=False), torch.randn(200, 16), torch.randint(99, (200,))
    found = []
    for size in (2**24, 2**13):
        monkeypatch.setattr("eterna.fast.loss.CHUNK_BYTES", size)
        head.zero_grad()
        loss = labelled_loss(hidden, head, targets, torch.ones(200), 0.0)
        loss.backward()
        found.append((loss.item(), head.weight.grad.clone()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert close(found[0][1], found[1][1], 1e-6)


@types
@pytest.mark.parametrize(("length", "window"), [(16, 1000), (21, 1000), (21, 5), (1, 1)])
def test_softmax_over_what_a_query_may_see(dtype: torch.dtype, tolerance: float, length: int, window: int) -> None:
    room = -(-length // 16) * 16
    scores = torch.randn(2, room, room).mul(5).to(dtype)
    seen = torch.ones(room, room, dtype=torch.bool).tril().triu(1 - window)
    seen[length:] = False
    exact = scores.double().mul(0.3).masked_fill(~seen, -math.inf).softmax(-1).nan_to_num()
    kernels = find_kernels(dtype == torch.bfloat16)
    assert kernels is not None
    given = torch.randn(2, room, room).to(dtype)
    expected = 0.3 * exact * (given.double() - (given.double() * exact).sum(-1, keepdim=True))
    run(kernels.softmax, scores, 2 * room, room, room, 0, length, window, 0.3)
    assert close(scores, exact, tolerance)
    assert not scores[:, ~seen].any()
    run(kernels.softmax_backward, given, scores, 2 * room, room, room, 0, length, window, 0.3)
    assert float((given.double() - expected).norm()) <= tolerance * max(1.0, float(expected.norm()))


@types
def test_exponentials_at_their_ends(dtype: torch.dtype, tolerance: float) -> None:
    gate = torch.tensor([[-200.0, -90.0, -30.0, 0.0, 30.0, 90.0, 200.0, math.inf]]).to(dtype)
    made = gated(gate, torch.ones_like(gate), "silu")
    assert made.tolist()[0] == pytest.approx(functional.silu(gate.double()).tolist()[0], rel=tolerance, abs=1e-30)


@types
def test_what_is_no_number_stays_none(dtype: torch.dtype, tolerance: float) -> None:
    x = torch.full((2, 32), math.nan).to(dtype)
    assert gated(x, torch.ones_like(x), "silu").isnan().all()
    assert add_norm(x.float(), None, torch.ones(32), 1e-6, 0.0, dtype)[1].isnan().all()
    head = torch.nn.Linear(32, 7, bias=False).to(dtype)
    assert labelled_loss(x, head, torch.tensor([1, 2]), torch.ones(2), 0.0).isnan()


@types
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_dropout_takes_its_share_evenly(dtype: torch.dtype, tolerance: float, share: float) -> None:
    ones = torch.ones(400, 500).to(dtype)
    kept = [Mask(ones, share).apply(ones) > 0 for _ in range(3)]
    deviation = math.sqrt(share * (1 - share) / ones.numel())
    assert kept[0].double().mean() == pytest.approx(1 - share, abs=5 * deviation)
    for side, count in ((0, 500), (1, 400)):
        means = kept[0].double().mean(side)
        spread = math.sqrt(share * (1 - share) / (ones.numel() / count))
        assert means.std().item() == pytest.approx(spread, rel=0.2)
    mask = kept[0]
    neighbours = (mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1]), (mask[:, :250], mask[:, 250:])
    for one, other in ((mask, kept[1]), *neighbours):
        both = (one & other).double().mean().item()
        assert both == pytest.approx((1 - share) ** 2, abs=6 * deviation)


def test_dropout_adds_the_same_mask_again() -> None:
    x = torch.randn(30, 40)
    mask = Mask(x, 0.3)
    once = mask.apply(x)
    assert torch.equal(mask.apply(x), once)
    assert torch.allclose(mask.apply(x, add_to=torch.ones(30, 40)), once + 1)
    assert close(once[once != 0], x[once != 0] / 0.7, 1e-5)
