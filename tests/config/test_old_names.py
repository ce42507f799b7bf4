"""Names of transformers 4 and of older guides: each works, or is answered with one line."""

from __future__ import annotations

from typing import Any

import pytest

from eterna.config import LoadedConfig, config_from_values
from eterna.config.field_tables import ANSWERS, FIELD_TABLES
from eterna.config.old_names import GONE, OLD_NAMES
from eterna.config.sections import TrainingSection
from eterna.config.writing import to_yaml
from eterna.errors import ConfigError


def load(**training: Any) -> LoadedConfig:
    data = {"train": [{"path": "a.jsonl"}], "eval": [{"path": "b.jsonl"}]}
    return config_from_values({"model": {"name": "m"}, "data": data, "training": training})


@pytest.mark.parametrize(
    ("old", "value", "new", "meaning"),
    [
        ("evaluation_strategy", "steps", "eval_strategy", "steps"),
        ("evaluate_during_training", True, "eval_strategy", "steps"),
        ("per_gpu_train_batch_size", 3, "per_device_train_batch_size", 3),
        ("per_gpu_eval_batch_size", 3, "per_device_eval_batch_size", 3),
        ("warmup_ratio", 0.1, "warmup_steps", 0.1),
        ("fp16", True, "precision", "fp16"),
        ("bf16", True, "precision", "bf16"),
        ("no_cuda", True, "use_cpu", True),
        ("adafactor", True, "optim", "adafactor"),
        ("group_by_length", True, "train_sampling_strategy", "group_by_length"),
        ("gradient_checkpointing", True, "activation_checkpointing", True),
        ("gradient_checkpointing_kwargs", {"use_reentrant": False}, "activation_checkpointing_kwargs", {"use_reentrant": False}),
        ("torchdynamo", "inductor", "torch_compile_backend", "inductor"),
        ("xpu_backend", "ccl", "ddp_backend", "ccl"),
        ("split_batches", True, "accelerator_config", {"split_batches": True}),
        ("dispatch_batches", True, "accelerator_config", {"dispatch_batches": True}),
        ("fsdp_min_num_params", 9, "fsdp_config", {"min_num_params": 9}),
        ("fsdp_transformer_layer_cls_to_wrap", "LlamaDecoderLayer", "fsdp_config", {"transformer_layer_cls_to_wrap": "LlamaDecoderLayer"}),
        ("push_to_hub_model_id", "a/b", "hub_model_id", "a/b"),
        ("push_to_hub_token", "hf_x", "hub_token", "hf_x"),
    ],
)  # fmt: skip
def test_an_old_name_works_and_says_its_new_one(old: str, value: object, new: str, meaning: object) -> None:
    # The settings of sharding are refused without it.
    loaded = load(**{old: value}, **({"fsdp": True} if new == "fsdp_config" else {}))
    assert loaded.config.training.model_dump()[new] == meaning
    (note,) = loaded.notes
    assert note.startswith(f"training.{old} is now training.{new}")


@pytest.mark.parametrize(
    ("old", "value"),
    [("adafactor", False), ("group_by_length", False), ("fp16", "auto"), ("bf16", "auto"), ("warmup_ratio", 0)],
)
def test_an_old_switch_that_is_off_changes_nothing(old: str, value: object) -> None:
    assert load(**{old: value}).config == load().config


@pytest.mark.parametrize("value", ["yes", "true", "on", 1])
@pytest.mark.parametrize("old", ["fp16", "bf16", "adafactor", "group_by_length", "evaluate_during_training"])
def test_a_word_that_is_no_switch_is_refused(old: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"training.{old} is {value!r}\n    fix: expected true"):
        load(**{old: value})


@pytest.mark.parametrize(
    ("said", "precision"),
    [
        ({"fp16": False}, "fp32"),
        ({"bf16": False}, "fp32"),
        ({"fp16": False, "bf16": False}, "fp32"),
        ({"fp16": False, "bf16": True}, "bf16"),
        ({"fp16": True, "bf16": False}, "fp16"),
        ({"fp16": "auto", "bf16": True}, "bf16"),
        ({"fp16": False, "bf16": "auto"}, "auto"),
        ({"fp16": False, "precision": "bf16"}, "bf16"),
    ],
)
def test_half_precision_that_is_off_is_off(said: dict[str, object], precision: str) -> None:
    assert load(**said).config.training.precision == precision


@pytest.mark.parametrize(
    "said", [{"fp16": True, "bf16": True}, {"fp16": False, "precision": "fp16"}, {"bf16": False, "precision": "auto"}]
)
def test_two_precisions_are_refused(said: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"both true|twice"):
        load(**said)


@pytest.mark.parametrize("value", [1, 1.0, 3, -0.1, "abc", True])
def test_a_warm_up_that_is_no_share_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"training.warmup_ratio is .*\n    fix: expected a share of the steps"):
        load(warmup_ratio=value)


def test_no_warm_up_by_share_stands_beside_counted_steps() -> None:
    assert load(warmup_ratio=0, warmup_steps=7).config.training.warmup_steps == 7


def test_old_names_for_keys_of_one_setting_come_together() -> None:
    loaded = load(split_batches=True, dispatch_batches=True, accelerator_config={"even_batches": False})
    assert (loaded.config.training.model_extra or {})["accelerator_config"] == {
        "even_batches": False,
        "split_batches": True,
        "dispatch_batches": True,
    }
    with pytest.raises(ConfigError, match=r"split_batches and training.accelerator_config say the same thing twice"):
        load(split_batches=True, accelerator_config={"split_batches": False})


@pytest.mark.parametrize("name", sorted(GONE))
def test_a_name_without_a_successor_is_answered(name: str) -> None:
    loaded = load(**{name: True})
    (note,) = loaded.notes
    assert note.startswith(f"training.{name} is not needed any more: ")
    assert loaded.config == load().config


# The fields of transformers 4.57's TrainingArguments that 5.23 has no more.
LEFT_OUT_IN_5 = {
    "adafactor", "fp16_backend", "fp16_opt_level", "fsdp_min_num_params", "fsdp_transformer_layer_cls_to_wrap",
    "group_by_length", "half_precision_backend", "include_inputs_for_metrics", "include_tokens_per_second",
    "jit_mode_eval", "logging_dir", "mp_parameters", "no_cuda", "overwrite_output_dir", "past_index",
    "per_gpu_eval_batch_size", "per_gpu_train_batch_size", "push_to_hub_model_id", "push_to_hub_organization",
    "push_to_hub_token", "ray_scope", "save_safetensors", "torchdynamo", "tpu_metrics_debug", "tpu_num_cores",
    "use_ipex", "use_legacy_prediction_loop", "use_mps_device", "warmup_ratio",
}  # fmt: skip


def test_every_field_that_transformers_5_left_out_is_understood() -> None:
    known = {name for section, name in OLD_NAMES if section == "training"} | GONE.keys()
    assert known >= LEFT_OUT_IN_5


def test_no_current_field_is_taken_for_a_gone_one() -> None:
    current = FIELD_TABLES["training"].keys() | TrainingSection.model_fields.keys()
    assert not GONE.keys() & current
    assert not ANSWERS.keys() & GONE.keys()


def test_an_old_name_beside_its_new_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        load(group_by_length=True, train_sampling_strategy="sequential")


@pytest.mark.parametrize("name", ["hub_token", "push_to_hub_token"])
def test_a_token_is_written_nowhere(name: str) -> None:
    loaded = load(**{name: "hf_secret"})
    assert "hf_secret" in (loaded.config.training.model_extra or {}).values()
    assert "hf_secret" not in to_yaml(loaded.resolved()) + loaded.text + " ".join(loaded.notes)
