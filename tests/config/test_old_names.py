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


@pytest.mark.parametrize("old", ["fp16", "bf16", "adafactor", "group_by_length"])
def test_an_old_switch_that_is_off_changes_nothing(old: str) -> None:
    assert load(**{old: False}).config == load().config


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
