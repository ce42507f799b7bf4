"""What the fast path asks of a GPU, answered on a CPU by functions that compute what torch's and Liger's say they do."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from tests.fast.models import MODELS, errors, examples, fast_loss, gradients, make, plain_loss
from torch import Tensor
from torch.nn import functional

from eterna.fast import gpu


def reference_varlen(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor, max_q: int, max_k: int, *,
    scale: float, window_size: tuple[int, int], enable_gqa: bool,
) -> Tensor:  # fmt: skip
    """torch.nn.attention.varlen.varlen_attn as torch 2.13 describes it; rows of no sequence are left as no numbers."""
    assert cu_seq_q.dtype == torch.int32
    assert torch.equal(cu_seq_q, cu_seq_k)
    assert max_q == max_k == int(cu_seq_q.diff().max())
    assert enable_gqa or query.shape[1] == key.shape[1]
    left, right = window_size
    assert right == 0
    parts = [torch.empty(0, *query.shape[1:], dtype=query.dtype)]
    for begin, end in pairwise(cu_seq_q.tolist()):
        q, k, v = (tensor[begin:end].transpose(0, 1) for tensor in (query, key, value))
        seen = torch.ones(end - begin, end - begin, dtype=torch.bool).tril()
        seen = seen if left < 0 else seen.triu(-left)
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale, enable_gqa=enable_gqa)
        parts.append(out.transpose(0, 1))
    rest = query.shape[0] - int(cu_seq_q[-1])
    return torch.cat([*parts, query.new_full((rest, *query.shape[1:]), torch.nan)])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A CPU that passes for a GPU: no compiled kernels, varlen_attn and Liger at hand. What was called."""
    called: list[str] = []

    def varlen(*given: Any, **named: Any) -> Tensor:
        called.append("varlen")
        return reference_varlen(*given, **named)

    def silu(gate: Tensor, up: Tensor) -> Tensor:
        called.append("silu")
        return functional.silu(gate) * up

    def gelu(gate: Tensor, up: Tensor) -> Tensor:
        called.append("gelu")
        return functional.gelu(gate, approximate="tanh") * up

    monkeypatch.setattr("eterna.fast.rows.find_kernels", lambda half: None)
    monkeypatch.setattr(gpu, "on_gpu", lambda x: True)
    monkeypatch.setattr("eterna.fast.attention.takes_varlen", lambda q, dropout: not dropout)
    monkeypatch.setattr(gpu, "varlen_function", lambda: varlen)
    monkeypatch.setattr(gpu, "_liger_functions", lambda: (silu, gelu))
    return called


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
@pytest.mark.parametrize("name", MODELS)
def test_a_gpu_s_functions_give_the_same_loss_and_gradients(name: str, lora: bool, calls: list[str]) -> None:
    exact = make(name, lora).double()
    reference = plain_loss(exact, examples())
    reference.backward()
    model = make(name, lora)
    loss = fast_loss(model, torch.float32, examples())
    assert loss.item() == pytest.approx(reference.item(), rel=1e-5)
    found = errors(gradients(model), gradients(exact))
    assert max(found.values()) < 1e-5, found
    assert calls.count("varlen") == 3, "once a layer"
    unit = {"gpt2": 0, "gemma": "gelu", "llama": "silu"}.get(name)
    if unit is not None:
        assert {one for one in calls if one != "varlen"} == ({unit} if unit else set())


def test_varlen_is_asked_only_for_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    q = torch.zeros(4, 2, 16, dtype=torch.bfloat16)
    assert not gpu.takes_varlen(q, 0.0), "not on a CPU"
    monkeypatch.setattr(gpu, "on_gpu", lambda x: True)
    assert gpu.takes_varlen(q, 0.0) == (gpu.varlen_function() is not None)
    assert not gpu.takes_varlen(q, 0.1), "it knows no dropout"
    assert not gpu.takes_varlen(q.float(), 0.0), "nor 32 bits"


def test_an_older_varlen_without_windows_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.nn.attention.varlen as module

    gpu.varlen_function.cache_clear()
    monkeypatch.setattr(module, "varlen_attn", lambda query, key, value, cu_seq_q, is_causal=False: None)
    assert gpu.varlen_function() is None
    monkeypatch.undo()
    gpu.varlen_function.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
@pytest.mark.parametrize("name", MODELS)
def test_on_a_gpu_bfloat16_errs_no_more_than_autocast(name: str, lora: bool) -> None:
    """Against float64 on the CPU."""
    exact = make(name, lora).double()
    plain_loss(exact, examples()).backward()
    autocast, model = (make(name, lora).cuda() for _ in "ab")
    with torch.autocast("cuda", torch.bfloat16):
        plain_loss(autocast, examples()).backward()
    fast_loss(model, torch.bfloat16, examples())
    theirs, ours = (
        errors({key: value.cpu() for key, value in gradients(one).items()}, gradients(exact))
        for one in (autocast, model)
    )
    assert max(ours.values()) <= 1.5 * max(theirs.values())
