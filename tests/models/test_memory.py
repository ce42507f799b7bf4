"""The estimate of memory against what autograd keeps, and against figures that others have published."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from eterna.models import NF4_BYTES, StepBytes, estimate_activations
from eterna.models.known import known_shape
from eterna.models.memory import HEAP_BLOCK, Memory, allocator_waste
from eterna.models.tracing import trace_step

GIGA = 1e9


def shape(**values: Any) -> Any:
    made = SimpleNamespace(**values)
    made.get_text_config = lambda: made
    return made


def mean_loss(logits: torch.Tensor) -> torch.Tensor:
    targets = torch.zeros(logits.shape[0] * logits.shape[1], dtype=torch.long)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets)


def empty(config: Any, **options: Any) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, **options).train()


def kept_bytes(folder: Path) -> int:
    """Bytes that autograd saves in one real forward pass of 4 rows of 128 tokens, each storage once, weights apart."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    ids = torch.arange(4 * 128).reshape(4, 128) % 300
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=ids, use_cache=False)
    return sum(storage.nbytes() for storage in kept.values())


def test_a_traced_step_keeps_what_autograd_keeps(tiny_model: Path) -> None:
    traced = trace_step(empty(AutoConfig.from_pretrained(tiny_model)), 4, 128, mean_loss)
    assert traced.kept == pytest.approx(kept_bytes(tiny_model), rel=0.1)


@pytest.mark.parametrize("layers", [5, 12])
@pytest.mark.parametrize(
    "kinds", [("full_attention",), ("full_attention", "sliding_attention")], ids=["alike", "turns"]
)
def test_a_deep_model_is_traced_by_few_of_its_layers(layers: int, kinds: tuple[str, ...], monkeypatch: Any) -> None:
    config = AutoConfig.for_model(
        "qwen2", hidden_size=64, intermediate_size=96, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=300, num_hidden_layers=layers, layer_types=[kinds[number % len(kinds)] for number in range(layers)],
        use_sliding_window=True, sliding_window=16,
    )  # fmt: skip
    model = empty(config)
    by_few = trace_step(model, 2, 64, mean_loss)
    assert len(model.model.layers) == layers, "the model is whole again"
    assert trace_step(model, 2, 64, mean_loss) == by_few, "and another trace of it says the same"
    monkeypatch.setattr("eterna.models.tracing.DEPTHS", (99, 98))
    whole = trace_step(empty(config), 2, 64, mean_loss)
    assert vars(by_few) == pytest.approx(vars(whole))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_checkpointing_keeps_less(tiny_model: Path) -> None:
    config = AutoConfig.from_pretrained(tiny_model)
    model = empty(config)
    model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
    assert trace_step(model, 4, 128, mean_loss).kept < 0.3 * trace_step(empty(config), 4, 128, mean_loss).kept


def test_the_terms_of_the_paper() -> None:
    """GPT-3 (arXiv:2205.05198, section 5): attention scores are 80 beside the 34 of everything else."""
    gpt3 = shape(num_hidden_layers=96, hidden_size=12288, num_attention_heads=96, vocab_size=0)
    one = 2048 * 12288
    assert estimate_activations(gpt3, 1, 2048, attention="eager").kept == 96 * one * (34 + 80)
    assert estimate_activations(gpt3, 1, 2048, attention="sdpa").kept == 96 * one * 34
    assert estimate_activations(gpt3, 1, 2048, checkpointing=True).kept == 96 * one * 2 + one * 34
    assert estimate_activations(gpt3, 3, 2048, element=4).kept == 3 * 2 * 96 * one * 34


def test_a_traced_gpt_keeps_what_the_paper_counts() -> None:
    """Korthikanti et al. 2022 (arXiv:2205.05198), equation 2: a layer of the 22 B model (h 6144, a 64) at s 2048, b 4
    keeps s b h (34 + 5 a s / h) bytes in 16 bits. Three of them are masks of dropout, h + h + a s: one byte each there,
    two on a CPU; with these counted, within 1 %.
    """
    config = AutoConfig.for_model("gpt2", n_embd=6144, n_head=64, n_positions=2048, activation_function="gelu")
    steps = []
    for layers in (2, 4):
        config.n_layer = layers
        model = empty(config, attn_implementation="eager", dtype=torch.bfloat16)
        steps.append(trace_step(model, 4, 2048, mean_loss).kept)
    layer = (steps[1] - steps[0]) / 2
    masks = 2 + 64 * 2048 / 6144
    assert layer == pytest.approx(2048 * 4 * 6144 * (34 + 5 * 64 * 2048 / 6144 + masks), rel=0.01)


def test_full_training_takes_sixteen_bytes_a_parameter() -> None:
    """ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054), section 3.1: 1.5 B parameters, mixed precision and Adam: at
    least 24 GB for weights, gradients and optimizer. Exact; activations are not in it.
    """
    count = 1.5e9
    memory = Memory(0, 4 * count, 8 * count, 4 * count, 0, 0, 0, 4 * count)
    assert memory.needed == memory.peak == 24 * GIGA


def test_lora_on_gpt3_takes_what_its_paper_says() -> None:
    """LoRA (Hu et al. 2021, arXiv:2106.09685), section 4.2: 175 B parameters, r 4 on two projections: 350 GB of memory
    and 35 MB a checkpoint, both in 16 bits. Within 10 %; weights, gradients and optimizer.
    """
    trained = 96 * 2 * 2 * 4 * 12288
    memory = Memory(0, 2 * 175e9 + 4 * trained, 8 * trained, 4 * trained, 0, 0, 0, 4 * trained)
    assert memory.needed == pytest.approx(350 * GIGA, rel=0.1)
    assert 2 * trained == pytest.approx(35e6, rel=0.1)


def test_four_bits_take_what_qloras_paper_says() -> None:
    """QLoRA (Dettmers et al. 2023, arXiv:2305.14314), section 3: 0.127 bits a weight for constants quantized twice;
    section 2: the 4-bit base of 7 B LLaMA takes 5,048 MB. Within 15 %; all linear layers but the output in 4 bits.
    """
    assert pytest.approx(4.127 / 8) == NF4_BYTES
    linear, rest = 6_476_005_376, 262_410_240  # 32 layers of 4 x 4096 x 4096 + 3 x 4096 x 11008; embeddings and norms
    assert linear * NF4_BYTES + 4 * rest == pytest.approx(5048e6, rel=0.15)


def test_smollm_is_traced_in_good_time() -> None:
    import time

    begun = time.process_time()
    trace_step(empty(known_shape("HuggingFaceTB/SmolLM2-135M")), 4, 256, mean_loss)
    assert time.process_time() - begun < 5


def test_only_blocks_of_the_heap_are_wasted() -> None:
    assert allocator_waste(StepBytes(9e9, 3e9, HEAP_BLOCK + 1, 0, 0, 0)) == 0
    assert allocator_waste(StepBytes(100, 60, 20, 0, 100, 7)) == pytest.approx(40 + 60 + 7)
