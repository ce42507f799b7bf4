"""The fast path computes what plain transformers computes, in float64 on the same examples."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.fast.models import MODELS, SHAPE, errors, examples, fast_loss, gradients, make, plain_loss, whole_error
from torch import Tensor, nn

from eterna.config import LoraSection
from eterna.data import Encoded
from eterna.data.batches import Collator
from eterna.fast import path, why_not
from eterna.fast import rows as fast_rows
from eterna.fast.rows import Mask
from eterna.fast.segments import blocks_of
from eterna.models import add_lora
from eterna.training.micro_batches import without_padding


@pytest.fixture(params=["kernels", "torch"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways: the kernels, and torch's operations where there are none."""
    if request.param == "torch":
        monkeypatch.setattr(fast_rows, "find_kernels", lambda half: None)
    return str(request.param)


def reference(model: Any, smoothing: float = 0.0, data: list[Encoded] | None = None) -> tuple[float, dict[str, Tensor]]:
    exact = copy.deepcopy(model).double()
    loss = plain_loss(exact, data or examples(), smoothing)
    loss.backward()
    return loss.item(), gradients(exact)


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
@pytest.mark.parametrize("name", MODELS)
def test_in_float32_loss_and_gradients_are_those_of_plain_transformers(name: str, lora: bool, by: str) -> None:
    model = make(name, lora)
    assert why_not(model) is None
    loss, exact = reference(model)
    assert fast_loss(model, torch.float32, examples()).item() == pytest.approx(loss, rel=1e-6)
    assert max(errors(gradients(model), exact).values()) <= 1e-5


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
@pytest.mark.parametrize("name", MODELS)
def test_in_bfloat16_the_error_is_no_larger_than_that_of_autocast(name: str, lora: bool, by: str) -> None:
    """Over four draws of the weights, as a single one may be lucky for either."""
    fast = slow = 0.0
    for seed in range(4):
        model = make(name, lora, seed=seed)
        loss, exact = reference(model)
        autocast = copy.deepcopy(model)
        with torch.autocast("cpu", torch.bfloat16):
            plain_loss(autocast, examples()).backward()
        assert fast_loss(model, torch.bfloat16, examples()).item() == pytest.approx(loss, rel=1e-4)
        fast += whole_error(gradients(model), exact)
        slow += whole_error(gradients(autocast), exact)
    assert fast <= slow


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "computed again"])
@pytest.mark.parametrize("name", ["llama", "mistral with a window and tied heads", "gpt2"])
def test_long_sequences_are_taken_in_blocks_of_queries(
    name: str, kept: bool, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eterna.fast.attention.KEEP_BYTES", 2**40 if kept else 0)
    data = examples((300, 50, 437))
    assert [len(blocks_of(len(one.ids))) for one in data] == [2, 1, 2]
    model = make(name, lora=False)
    autocast = copy.deepcopy(model)
    loss, exact = reference(model, data=data)
    assert fast_loss(model, torch.float32, data).item() == pytest.approx(loss, rel=1e-6)
    assert max(errors(gradients(model), exact).values()) <= 1e-5
    with torch.autocast("cpu", torch.bfloat16):
        plain_loss(autocast, data).backward()
    model.zero_grad()
    fast_loss(model, torch.bfloat16, data)
    assert whole_error(gradients(model), exact) <= whole_error(gradients(autocast), exact)


def test_a_base_held_in_bfloat16_gives_what_autocast_gives(by: str) -> None:
    """The weights are rounded once in both: here when they are held, there whenever they are used."""
    model = make("llama", lora=True)
    loss, exact = reference(model)
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    assert fast_loss(model, torch.bfloat16, examples()).item() == pytest.approx(loss, rel=1e-4)
    assert whole_error(gradients(model), exact) < 0.01


def test_label_smoothing_is_torchs(by: str) -> None:
    model = make("llama", lora=False)
    loss, exact = reference(model, smoothing=0.1)
    assert fast_loss(model, torch.float32, examples(), smoothing=0.1).item() == pytest.approx(loss, rel=1e-6)
    assert max(errors(gradients(model), exact).values()) <= 1e-5


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_recomputed_activations_change_nothing(by: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    layer = getattr(path, f"{name}_layer")
    monkeypatch.setattr(path, f"{name}_layer", lambda *given: (taken.append(1), layer(*given))[1])
    model, other = (make(name, lora=True, dropout=0.3) for _ in range(2))
    other.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for one, times in ((model, 3), (other, 6)):
        taken.clear()
        one.train()
        torch.manual_seed(3)
        fast_loss(one, torch.float32, examples())
        assert len(taken) == times
    assert max(errors(gradients(other), gradients(model)).values()) == 0.0


class Replayed(nn.Module):
    """Takes, in the place of a dropout, the elements that the fast path took."""

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, x: Tensor) -> Tensor:
        return x * self.kept[: x.shape[1]].to(x.dtype)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_with_dropout_the_gradients_are_those_of_the_same_masks(
    by: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded in the fast path, replayed in plain transformers on one sequence."""
    masks: list[Mask] = []
    drawn = Mask.__init__

    def recorded(self: Mask, x: Tensor, dropped: float) -> None:
        drawn(self, x, dropped)
        masks.append(self)
        self.shape = x.shape  # type: ignore[attr-defined]

    monkeypatch.setattr(fast_rows.Mask, "__init__", recorded)
    model = make("llama", lora=True, dropout=share)
    model.train()
    data = examples((150,))
    loss = fast_loss(model, torch.float32, data).item()
    exact = copy.deepcopy(model).double()
    exact.zero_grad()
    layers = [module for module in exact.modules() if hasattr(module, "lora_dropout")]
    assert len(layers) == len(masks) == 9
    (batch,) = without_padding([Collator(0)(data)], budget=200)
    keep = batch["parts"][0]["keep"]
    for layer, mask in zip(layers, masks, strict=True):
        kept = mask.apply(torch.ones(mask.shape))  # type: ignore[attr-defined]
        assert kept.unique().tolist() == pytest.approx([0.0, 1 / (1 - share)], rel=1e-5)
        if layer is layers[-1]:  # behind the attention of the last layer: only what is looked at is computed
            assert len(kept) == len(keep) == 128
            kept = torch.ones(192, kept.shape[1]).index_copy_(0, keep, kept)
        layer.lora_dropout["default"] = Replayed(kept.double())
    again = plain_loss(exact, data)
    again.backward()
    assert loss == pytest.approx(again.item(), rel=1e-6)
    assert max(errors(gradients(model), gradients(exact)).values()) <= 1e-5


def test_dropout_of_gpt2_and_of_attention_is_repeated_on_the_way_back(by: str) -> None:
    """Against a difference quotient, as the masks of probabilities have no place in plain transformers."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=333, n_positions=64)
    assert config.attn_pdrop == config.resid_pdrop == 0.1
    model = GPT2LMHeadModel(config).train()
    weight = model.transformer.h[0].attn.c_attn.weight
    way = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    losses = []
    for step in (-1e-2, 1e-2):
        weight.data.add_(way, alpha=step)
        torch.manual_seed(9)
        losses.append(fast_loss(model, torch.float32, examples((20, 31))).item())
        weight.data.add_(way, alpha=-step)
    model.zero_grad()
    torch.manual_seed(9)
    fast_loss(model, torch.float32, examples((20, 31)))
    slope = float((weight.grad * way).sum())
    assert (losses[1] - losses[0]) / 2e-2 == pytest.approx(slope, rel=0.02)


def test_no_sequence_sees_its_neighbours(by: str) -> None:
    model = make("llama", lora=False)
    alone = fast_loss(model, torch.float32, examples()[:1]).item()
    before = gradients(model)
    model.zero_grad()
    data = examples()
    others = [replace(one, weights=(*([0.0] * (len(one.ids) - 1)), 1e-30)) for one in data[1:]]
    assert fast_loss(model, torch.float32, [data[0], *others]).item() == pytest.approx(alone, rel=1e-6)
    assert max(errors(gradients(model), before).values()) <= 1e-5


def test_afterwards_the_model_computes_as_before() -> None:
    model = make("llama", lora=True).eval()
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
    fast_loss(model, torch.float32, examples())
    assert not [module for module in model.modules() if "forward" in vars(module)]
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, before)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_act": "relu"}, "activation relu"),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
            "rotate a part",
        ),
    ],
    ids=["activation", "rotation"],
)
def test_a_variant_it_does_not_know_takes_the_plain_path(changed: dict[str, Any], said: str) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    assert said in str(why_not(LlamaForCausalLM(LlamaConfig(**{**SHAPE, **changed}))))


def test_a_wrapped_norm_takes_the_plain_path() -> None:
    section = LoraSection(r=4, target_modules=["q_proj"], modules_to_save=["input_layernorm"])
    assert "modules_to_save" in str(why_not(add_lora(MODELS["llama"](), section, seed=0)))


def test_what_it_does_not_know_takes_the_plain_path() -> None:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**shape, vocab_size=50))
    assert "GPTNeoXForCausalLM is none of the architectures it knows" in str(why_not(model))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "settings",
    [{"use_dora": True}, {"modules_to_save": ["lm_head", "embed_tokens"]}, {"target_modules": ["v_proj", "lm_head"]}],
    ids=str,
)
def test_layers_of_another_kind_are_called_as_they_are(by: str, settings: dict[str, Any], dtype: torch.dtype) -> None:
    """Inside the fast path PEFT's own modules compute what it does not know."""
    torch.manual_seed(0)
    section = {"r": 4, "target_modules": ["q_proj", "up_proj"], "lora_dropout": 0.0, **settings}
    model = add_lora(MODELS["llama"](), LoraSection(**section), seed=0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.05)
    loss, exact = reference(model)
    half = dtype == torch.bfloat16
    if half:
        for parameter in model.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()
    assert fast_loss(model, dtype, examples()).item() == pytest.approx(loss, rel=1e-3 if half else 1e-6)
    assert whole_error(gradients(model), exact) <= (0.03 if half else 1e-5)
