"""Many prompts answered together: the tokens that transformers' own `generate` gives to each prompt alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from eterna.config import GenerationSection, LoraSection
from eterna.models import add_lora, generating
from eterna.models import decoding as under_test
from eterna.models.adapting import adapters_merged
from eterna.models.decoding import Choice, decode, shared_beginnings

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 80}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {**SMALL, "num_key_value_heads": 4},
    "mistral": {**SMALL, "num_key_value_heads": 2, "sliding_window": 6},
    "qwen2": {**SMALL, "num_key_value_heads": 2},
    "gemma": {**SMALL, "num_key_value_heads": 1, "head_dim": 8},
    "gemma2": {**SMALL, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 6},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 80},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 80},  # takes no position_ids
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 80, "state_size": 8},  # has no such cache
}


def make(kind: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **KINDS[kind], pad_token_id=0, bos_token_id=1, eos_token_id=2)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager" if kind == "bloom" else None)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)  # else every model of this size says one token for ever
    return model.eval()


def prompts(count: int = 9, seed: int = 1) -> list[list[int]]:
    """Of 3 to 50 tokens; two thirds begin with one of two personas."""
    draw = torch.Generator().manual_seed(seed)

    def some(length: int) -> list[int]:
        return torch.randint(3, 80, (length,), generator=draw).tolist()

    personas = [some(20), some(31)]
    return [(personas[number % 3] if number % 3 < 2 else []) + some(3 + 2 * number) for number in range(count)]


def alone(model: Any, prompt: list[int], longest: int, stop: list[int]) -> list[int]:
    ids = torch.tensor([prompt])
    settings = GenerationConfig(max_new_tokens=longest, do_sample=False, pad_token_id=0, eos_token_id=stop)
    with torch.no_grad():
        found = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    new: list[int] = found[0, len(prompt) :].tolist()
    return new


@pytest.mark.parametrize("read", [4096, 40], ids=["whole", "by columns"])
@pytest.mark.parametrize("kind", KINDS)
def test_greedy_tokens_are_transformers_own(kind: str, read: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "READ", read)
    model = make(kind)
    stop = list(range(2, 80, 9))  # one token in nine, so that replies end at different times
    expected = [alone(model, prompt, 24, stop) for prompt in prompts()]
    assert len({len(new) for new in expected}) > 1
    found = decode(model, prompts(), GenerationSection(max_new_tokens=24), stop, [0] * 9)
    assert found == expected


@pytest.mark.parametrize("blank", [None, [7, 3, 9]], ids=["last token", "given"])
@pytest.mark.parametrize("kind", KINDS)
def test_guided_tokens_are_transformers_own(kind: str, blank: list[int] | None) -> None:
    model, stop = make(kind), [2]
    settings = GenerationConfig(max_new_tokens=16, do_sample=False, pad_token_id=0, eos_token_id=stop, guidance_scale=2)
    expected = []
    for prompt in prompts():
        ids = torch.tensor([prompt])
        away = {"negative_prompt_ids": torch.tensor([blank])} if blank else {}
        with torch.no_grad():
            found = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings, **away,
                use_cache=kind != "mamba",
            )  # fmt: skip
        expected.append(found[0, len(prompt) :].tolist())
    section = GenerationSection(max_new_tokens=16, guidance_scale=2.0)
    given = [blank] * 9 if blank else None
    assert decode(model, prompts(), section, stop, [0] * 9, None, given) == expected
    if kind == "llama":
        assert decode(model, prompts(), GenerationSection(max_new_tokens=16), stop, [0] * 9) != expected


def test_a_guided_reply_is_kept_twice_in_memory() -> None:
    assert generating.held_tokens(GenerationSection(max_new_tokens=16)) == 16
    assert generating.held_tokens(GenerationSection(max_new_tokens=16, guidance_scale=1.5)) == 32


@pytest.mark.parametrize("kind", KINDS)
def test_how_many_rows_there_is_room_for(kind: str) -> None:
    model = make(kind)
    one = generating.cached_bytes(model.config, 4)
    with torch.no_grad():
        made = model(torch.tensor([list(range(10))]), use_cache=True)
    layers = getattr(getattr(made, "past_key_values", None), "layers", [])
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)
    if "sliding_window" not in KINDS[kind]:
        assert one * 10 == held
    assert generating.rows_at_once(model, 10) == 128
    assert generating.rows_at_once(model, 10**9) == (128 if kind == "mamba" else 1)


@pytest.mark.parametrize("leave", [1, 1000], ids=["rarely", "at once"])
@pytest.mark.parametrize("worth", [0.0, 1e9], ids=["unshared", "shared"])
@pytest.mark.parametrize(
    "drawn",
    [{}, {"temperature": 1.0}, {"frequency_penalty": 0.5, "presence_penalty": 0.5}, {"guidance_scale": 2.0}],
)
def test_a_reply_does_not_depend_on_what_else_is_asked(
    leave: int, worth: float, drawn: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, stop = make("llama"), list(range(2, 80, 9))
    section = GenerationSection(max_new_tokens=24, top_p=0.9, **drawn)
    expected = [decode(model, [prompt], section, stop, [seed])[0] for seed, prompt in enumerate(prompts())]
    monkeypatch.setattr(under_test, "LEAVE", leave)
    monkeypatch.setattr(under_test, "WORTH", worth)
    assert decode(model, prompts(), section, stop, list(range(9))) == expected
    monkeypatch.setattr(generating, "MOST_ROWS", 4)

    class Words:
        """Writes ids as words."""

        def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
            return " ".join(map(str, ids))

    replies = generating.generate_all(model, Words(), prompts(), section, stop, list(range(9)))
    assert [reply.text for reply in replies] == [" ".join(map(str, new)) for new in expected]


def test_ended_rows_are_computed_no_longer() -> None:
    model = make("llama")
    stop = list(range(2, 80, 9))
    widths: list[int] = []
    model.register_forward_pre_hook(lambda _, args, given: widths.append(len(given["input_ids"])), with_kwargs=True)
    found = decode(model, prompts(32), GenerationSection(max_new_tokens=24), stop, [0] * 32)
    going = [sum(len(new) > step for new in found) for step in range(1, max(map(len, found)))]
    steps = widths[-len(going) :]
    assert all(row <= 8 / 7 * left + 1 for row, left in zip(steps, going, strict=True))


def test_what_prompts_begin_with_together_is_read_once() -> None:
    persona, rest = list(range(10, 60)), [[70, number] for number in range(3, 9)]
    together = [persona + one for one in rest]
    assert shared_beginnings(together) == [51] * 6, "the token 70 is common too"
    assert shared_beginnings([[5] * 30, *together]) == [29, *([51] * 6)], "and all rests are of one length"
    assert shared_beginnings([list(range(number, number + 40)) for number in range(9)]) is None
    assert shared_beginnings([persona]) is None
    assert shared_beginnings([persona, persona]) == [49, 49], "each reads its last token itself"
    model = make("llama")
    read: list[int] = []
    model.register_forward_pre_hook(lambda _, args, given: read.append(given["input_ids"].numel()), with_kwargs=True)
    decode(model, together, GenerationSection(max_new_tokens=1), [2], [0] * 6)
    assert read == [51, 6]


def test_a_draw_is_from_the_likeliest_tokens_and_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([[0.1, 0.4, 0.05, 0.3, 0.15]]).log()
    section = GenerationSection(temperature=1.0, top_p=0.8)  # 0.4 + 0.3 is too little, 0.15 is needed too
    choice = Choice(section, range(4000))
    drawn = torch.cat([choice(logits, [row]) for row in range(4000)]).bincount(minlength=5) / 4000
    kept = torch.tensor([0.0, 0.4, 0.0, 0.3, 0.15]) / 0.85
    assert torch.allclose(drawn, kept, atol=4 * 0.5 / 4000**0.5)
    assert (drawn[[0, 2]] == 0).all()
    sure = Choice(GenerationSection(temperature=1.0, top_p=1e-9), [0])
    assert sure(logits, [0]).item() == 1


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [({}, [0, 0, 0, 0]), ({"frequency_penalty": 0.375}, [0, 1, 0, 2]), ({"presence_penalty": 0.625}, [0, 1, 2, 0])],
)
def test_a_penalty_is_for_what_the_reply_has_each_time_or_once(penalty: dict[str, float], expected: list[int]) -> None:
    logits = torch.tensor([[1.0, 0.75, 0.5, -1.0]])
    choice = Choice(GenerationSection(**penalty), [0, 1])
    assert [choice(logits, [1]).item() for _ in range(4)] == expected
    assert choice(logits, [0]).item() == 0, "what another row has is not its own"


def test_what_the_prompt_says_is_not_penalized() -> None:
    model, prompt = make("llama"), [5, 6, 7, 5, 6, 7]
    first = decode(model, [prompt], GenerationSection(max_new_tokens=1), [2], [0])
    hard = GenerationSection(max_new_tokens=8, presence_penalty=2.0, frequency_penalty=2.0)
    asked = [*prompt, *first[0], first[0][0]]
    assert (
        decode(model, [asked], hard, [2], [0])[0][:1]
        == decode(model, [asked], GenerationSection(max_new_tokens=1), [2], [0])[0]
    )


@pytest.mark.filterwarnings("ignore:.*tie_word_embeddings.*")
def test_merged_adapters_answer_alike_and_leave_no_trace() -> None:
    model = add_lora(make("qwen2"), LoraSection(r=4, lora_alpha=8, target_modules="all-linear"), 0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ids = torch.tensor(prompts()[:1])
    with torch.no_grad():
        apart = model(input_ids=ids).logits
        with adapters_merged(model):
            merged = model(input_ids=ids).logits
            assert any(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
        assert torch.equal(model(input_ids=ids).logits, apart)
        with model.disable_adapter():
            base = model(input_ids=ids).logits
            with adapters_merged(model):
                assert torch.equal(model(input_ids=ids).logits, base), "an adapter that is off stays off"
    assert torch.allclose(merged, apart, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(apart, base, rtol=1e-2, atol=1e-2)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_adapters_are_merged_into_float32_of_their_own_alone() -> None:
    """Bfloat16 would lose digits, and a weight that two layers share would change in both."""
    targets = {"target_modules": ["q_proj", "lm_head"], "r": 4}
    for model in (
        add_lora(make("qwen2").bfloat16(), LoraSection(**targets), 0),
        add_lora(make("qwen2"), LoraSection(**{**targets, "use_dora": True}), 0),
    ):
        before = [weight.data_ptr() for weight in model.parameters()]
        with adapters_merged(model):
            assert [weight.data_ptr() for weight in model.parameters()] == before
    tied = make("gemma")  # its head is its embedding
    model = add_lora(tied, LoraSection(target_modules=["lm_head", "q_proj"], r=4, ensure_weight_tying=None), 0)
    embedding = tied.get_input_embeddings().weight.data_ptr()
    with adapters_merged(model):
        assert tied.get_input_embeddings().weight.data_ptr() == embedding
