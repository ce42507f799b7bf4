"""Models that cannot be used are refused by name, before anything heavy happens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from eterna.config import LoraSection, ModelSection
from eterna.errors import ConfigError, ModelError
from eterna.models import add_lora, choose_precision, find_model, load_model, trainable_share
from eterna.models.loading import readable_failure
from eterna.models.tokenizers import load_tokenizer
from eterna.models.weight_files import check_weights


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights only"):
        check_weights(copy)


def test_a_git_lfs_pointer_is_recognised(copy: Path) -> None:
    (copy / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    with pytest.raises(ModelError, match="Git LFS pointer"):
        check_weights(copy)


def test_damaged_weights_are_one_message(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_model(ModelSection(name=str(copy)), "fp32", 0, True)


def test_a_tokenizer_file_of_another_kind_is_one_message(copy: Path) -> None:
    values = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    values["model"]["type"] = "NewBPE"
    (copy / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ModelError, match=r"tokenizer.json is damaged, or of a newer kind"):
        load_tokenizer(ModelSection(name=str(copy)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hidden_size": "many"}, r"config.json: .*hidden_size.* expected int, got str"),
        ({"num_attention_heads": 7}, r"config.json: .*not a multiple of the number of attention heads"),
        ({"hidden_size": 128}, "the weights have other shapes than config.json says"),
        ({"hidden_act": "nope"}, "'nope' is not known to this transformers"),
    ],
)
def test_a_wrong_config_is_one_message_with_its_reason(copy: Path, change: dict[str, Any], reason: str) -> None:
    values = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps({**values, **change}), encoding="utf-8")
    with pytest.raises(ModelError, match=f"cannot load .*{reason}"):
        load_model(ModelSection(name=str(copy)), "fp32", 0, True)


def test_a_message_of_ours_is_left_as_it_is() -> None:
    with pytest.raises(ConfigError, match=r"^ours$"), readable_failure("m"):
        raise ConfigError("ours")


@pytest.mark.parametrize("name", ["~nobody-of-that-name/model", "./" + "x" * 300, "x" * 300, "./a\0b"])
def test_a_name_that_no_folder_can_have_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        find_model(name)


def test_an_adapter_in_place_of_a_model_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="this is an adapter"):
        find_model(str(tmp_path))


@pytest.mark.parametrize("name", ["mistralai/Mistral-7B-v0.1", "gpt2"])
def test_a_hub_id_is_left_to_transformers(name: str) -> None:
    assert find_model(name) == name


def test_one_lora_target_of_two_that_matches_nothing_is_an_error(tiny_model: Path) -> None:
    model = load_model(ModelSection(name=str(tiny_model)), "fp32", 0, False)
    with pytest.raises(ModelError, match="'v_projj'") as caught:
        add_lora(model, LoraSection(target_modules=["q_proj", "v_projj"]), 0)
    assert "did you mean 'v_proj'" in str(caught.value)


def test_only_the_adapters_are_trainable(tiny_model: Path) -> None:
    model = load_model(ModelSection(name=str(tiny_model)), "fp32", 0, False)
    model = add_lora(model, LoraSection(r=4, target_modules=["q_proj"]), 0)
    trained, everything = trainable_share(model)
    assert trained == sum(p.numel() for n, p in model.named_parameters() if "lora_" in n) == 2 * (4 * 64 + 4 * 64)
    assert everything > 100 * 1000


def test_trained_weights_are_float32_even_from_a_bfloat16_file(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(tiny_model).to(torch.bfloat16).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    model = load_model(ModelSection(name=str(tmp_path)), "fp32", 0, train_all=True)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("train_all", [True, False])
@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_the_weights_are_held_in_the_type_that_is_asked_for(tiny_model: Path, name: Any, train_all: bool) -> None:
    model = load_model(ModelSection(name=str(tiny_model), dtype=name), "fp32", 0, train_all)
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, name)}


def test_a_frozen_base_follows_the_precision(tiny_model: Path) -> None:
    model = load_model(ModelSection(name=str(tiny_model)), "bf16", 0, train_all=False)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_a_revision_of_a_folder_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="is a folder"):
        load_model(ModelSection(name=str(tiny_model), revision="main"), "fp32", 0, True)


def test_a_tensor_by_a_name_that_nobody_knows_does_not_stand_for_a_missing_one(copy: Path) -> None:
    """A file's own name for a tensor may be one that transformers renames: only loading tells."""
    tensors = load_file(copy / "model.safetensors")
    tensors["model.layers.0.other.weight"] = tensors.pop("model.layers.0.self_attn.q_proj.weight")
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"hold no model\.layers\.0\.self_attn\.q_proj\.weight, so it would be random"):
        load_model(ModelSection(name=str(copy)), "fp32", 0, True)


def test_precision_follows_the_hardware_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def card(available: bool, bf16: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **settings: bf16)

    def processor(**has: bool) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, **has}, raising=False)

    processor(avx512_bf16=False, amx_bf16=False)
    card(False, False)
    assert choose_precision("auto").name == "fp32"
    assert "no GPU" in choose_precision("auto").reason
    for name in ("avx512_bf16", "amx_bf16"):
        processor(**{name: True})
        assert choose_precision("auto").name == "bf16"
        assert "no GPU; the processor" in choose_precision("auto").reason
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    for known in (False, True):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda known=known: known, raising=False)
        assert choose_precision("auto").name == ("bf16" if known else "fp32")
    processor()
    with pytest.raises(ModelError, match="precision: auto"):
        choose_precision("fp16")
    card(True, True)
    assert choose_precision("auto").name == "bf16"
    assert choose_precision("auto", use_cpu=True).name == "fp32"
    card(True, False)
    assert choose_precision("auto").name == "fp16"
    with pytest.raises(ModelError, match="no bfloat16"):
        choose_precision("bf16")


@pytest.mark.parametrize(("line", "name"), [("fp16: true", "training.fp16"), ("precision: fp16", "training.precision")])
def test_a_precision_that_cannot_work_is_named_as_it_was_written(
    run_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, name: str
) -> None:
    from eterna.config import load_config
    from eterna.config.writing import to_yaml
    from eterna.pipeline.plan import make_plan

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = tmp_path / "run.yaml"
    del run_values["training"]["precision"]
    text = to_yaml(run_values).replace("training:\n", f"training:\n  {line}\n")
    file.write_text(text, encoding="utf-8")
    number = text.splitlines().index(f"  {line}") + 1
    with pytest.raises(ModelError, match=rf"run.yaml:{number}:3: {name} asks for fp16, but there is no GPU") as caught:
        make_plan(load_config(file))
    assert "training.precision: auto" in str(caught.value)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["Llama", "Mistral", "Qwen2", "Gemma", "Gemma2", "GPT2", "GPTNeoX", "OPT"])
def test_the_common_architectures_train(
    kind: str, precision: str, tiny_tokenizer: Any, tmp_path: Path, chat_file: Path
) -> None:
    """Tiny random-weight models, through plan, LoRA, two steps and evaluation to a final/ that plain PEFT loads."""
    import peft
    import transformers
    from rich.console import Console

    from eterna.config import config_from_values
    from eterna.pipeline.train import train

    ends = {"bos_token_id": None, "eos_token_id": tiny_tokenizer.eos_token_id, "pad_token_id": 0}
    if kind == "GPT2":
        config = transformers.GPT2Config(vocab_size=512, n_embd=32, n_layer=2, n_head=2, n_positions=256, **ends)
    else:
        heads = {} if kind in ("GPTNeoX", "OPT") else {"num_key_value_heads": 1, "head_dim": 16}
        config = getattr(transformers, f"{kind}Config")(
            vocab_size=512, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=256, **heads, **ends,
        )  # fmt: skip
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    values = {
        "model": {"name": str(tmp_path / "model")},
        "lora": {"r": 2, "target_modules": "all-linear"},
        "data": {
            "train": {"path": str(chat_file)},
            "eval": {"path": str(chat_file)},
            "max_length": 200,
            "leaks": "warn",
        },
        "training": {
            "output_dir": str(tmp_path / "run"),
            "max_steps": 2,
            "report_to": "none",
            "learning_rate": 1e-2,
            "precision": precision,
        },
        "evaluation": {"probes": 1},
        "generation": {"max_new_tokens": 4},
    }
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    assert all(score.value is not None for score in trained.scores if score.metric == "perplexity")
    plain = peft.AutoPeftModelForCausalLM.from_pretrained(trained.run.final)
    ids = torch.arange(8)[None]
    tuned = plain(ids).logits
    with plain.disable_adapter():
        assert not torch.equal(plain(ids).logits, tuned)
