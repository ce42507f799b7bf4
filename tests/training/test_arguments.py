"""Every field of the installed TrainingArguments is accepted: it reaches transformers, or is answered with a line."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import transformers

from eterna.config import LoadedConfig, config_from_values
from eterna.config.field_tables import ANSWERS
from eterna.errors import ConfigError
from eterna.training import build_arguments

# A value for each field, none of them its default where there is another that works here. A field that is missing
# here is new in the installed transformers: decide what becomes of it.
PLAUSIBLE: dict[str, Any] = {
    "accelerator_config": {"split_batches": True},
    "activation_checkpointing": True,
    "activation_checkpointing_kwargs": {"use_reentrant": False},
    "adam_beta1": 0.8,
    "adam_beta2": 0.95,
    "adam_epsilon": 1e-7,
    "auto_find_batch_size": True,
    "average_tokens_across_devices": False,
    "batch_eval_metrics": True,
    "bf16_full_eval": True,
    "data_seed": 9,
    "dataloader_drop_last": True,
    "dataloader_in_order": False,
    "dataloader_multiprocessing_context": "spawn",
    "dataloader_num_workers": 1,
    "dataloader_persistent_workers": True,
    "dataloader_pin_memory": False,
    "dataloader_prefetch_factor": None,
    "ddp_backend": "gloo",
    "ddp_broadcast_buffers": True,
    "ddp_bucket_cap_mb": 10,
    "ddp_find_unused_parameters": True,
    "ddp_static_graph": True,
    "ddp_timeout": 60,
    "debug": "underflow_overflow",
    "deepspeed": None,
    "disable_tqdm": True,
    "do_eval": True,
    "do_predict": True,
    "do_train": True,
    "enable_jit_checkpoint": True,
    "eval_accumulation_steps": 2,
    "eval_delay": 4,
    "eval_do_concat_batches": False,
    "eval_on_start": True,
    "eval_steps": 7,
    "eval_strategy": "epoch",
    "eval_use_gather_object": True,
    "fp16_full_eval": True,
    "fsdp": False,  # with its config in tests/pipeline/test_processes.py
    "full_determinism": True,
    "gradient_accumulation_steps": 3,
    "greater_is_better": True,
    "hub_always_push": True,
    "hub_model_id": "someone/something",
    "hub_private_repo": True,
    "hub_revision": "main",
    "hub_strategy": "checkpoint",
    "hub_token": "hf_x",
    "ignore_data_skip": True,
    "include_for_metrics": ["loss"],
    "include_num_input_tokens_seen": "non_padding",
    "label_names": ["labels"],
    "label_smoothing_factor": 0.1,
    "learning_rate": 1e-3,
    "length_column_name": "size",
    "liger_kernel_config": {"rope": True},
    "load_best_model_at_end": True,
    "local_rank": -1,
    "log_level": "error",
    "log_level_replica": "error",
    "log_on_each_node": False,
    "logging_first_step": False,
    "logging_nan_inf_filter": True,
    "logging_steps": 5,
    "logging_strategy": "epoch",
    "lr_scheduler_kwargs": {"num_cycles": 2},
    "lr_scheduler_type": "cosine",
    "max_grad_norm": 0.5,
    "max_steps": 3,
    "metric_for_best_model": "perplexity",
    "neftune_noise_alpha": 5.0,
    "num_train_epochs": 2.0,
    "optim": "adafactor",
    "optim_args": "a=1",
    "optim_target_modules": ["q_proj"],
    "output_dir": "somewhere",
    "parallelism_config": {"dp_replicate_size": 1},
    "per_device_eval_batch_size": 3,
    "per_device_train_batch_size": 3,
    "prediction_loss_only": True,
    "project": "world",
    "push_to_hub": True,
    "remove_unused_columns": True,
    "report_to": ["none"],  # more in test_report_to.py
    "restore_callback_states_from_checkpoint": True,
    "resume_from_checkpoint": "run/checkpoint-3",
    "run_name": "first",
    "save_on_each_node": True,
    "save_only_model": True,
    "save_steps": 7,
    "save_strategy": "epoch",
    "save_total_limit": 2,
    "seed": 7,
    "skip_memory_metrics": False,
    "tf32": False,
    "torch_compile": True,
    "torch_compile_backend": "eager",
    "torch_compile_mode": "default",
    "torch_empty_cache_steps": 5,
    "trackio_bucket_id": "a/b",
    "trackio_space_id": "a/b",
    "trackio_static_space_id": "a/b",
    "train_sampling_strategy": "sequential",
    "use_cache": True,
    "use_cpu": True,
    "use_liger_kernel": False,
    "warmup_steps": 3,
    "weight_decay": 0.1,
}  # fmt: skip

OLD = {"bf16", "fp16", "gradient_checkpointing", "gradient_checkpointing_kwargs", "fsdp_config"}
"""Fields the installed version still has, by the names Eterna calls old: see tests/config/test_old_names.py."""
FIELDS = [
    field.name for field in dataclasses.fields(transformers.TrainingArguments) if field.init and field.name not in OLD
]


def load(**training: Any) -> LoadedConfig:
    data = {"train": [{"path": "a.jsonl"}], "eval": [{"path": "b.jsonl"}]}
    return config_from_values({"model": {"name": "m"}, "data": data, "training": training})


def build(loaded: LoadedConfig) -> Any:
    return build_arguments(loaded.config.training, "fp32", has_eval=True)


def plain(value: Any) -> Any:
    """Without transformers' own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return getattr(value, "value", value)


def holds(value: Any, given: Any) -> bool:
    """Whether a field's value is the one given; transformers completes dictionaries and splits words."""
    value = plain(value)
    if isinstance(given, dict):
        return all(value[key] == item for key, item in given.items())
    return bool(value == given or value == [given])


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_reaches_transformers_or_is_answered(name: str) -> None:
    loaded = load(**{name: PLAUSIBLE[name]})
    answered = [note for note in loaded.notes if note.startswith(f"training.{name} ")]
    assert len(answered) == (name in ANSWERS)
    arguments = build(loaded)
    expected = None if name == "ddp_backend" else PLAUSIBLE[name]  # there is one process here
    expected = [] if name == "report_to" else expected  # as transformers writes none
    assert answered or holds(getattr(arguments, name), expected)


def test_every_answer_belongs_to_a_field() -> None:
    assert ANSWERS.keys() <= PLAUSIBLE.keys()


def test_trainer_s_own_bar_stays_off_whatever_is_asked_of_ours() -> None:
    assert build(load(disable_tqdm=False)).disable_tqdm is True


def test_a_lower_perplexity_is_better_unless_said_otherwise() -> None:
    assert build(load(metric_for_best_model="eval_perplexity")).greater_is_better is False
    assert build(load(metric_for_best_model="perplexity", greater_is_better=True)).greater_is_better is True
    assert build(load(metric_for_best_model="loss")).greater_is_better is False


def test_no_logging_means_no_first_line_either() -> None:
    assert build(load()).logging_first_step is True
    assert build(load(logging_strategy="no")).logging_first_step is False


def test_liger_is_asked_for_by_name_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "liger_kernel" else found(name))
    with pytest.raises(ConfigError, match="liger-kernel is not installed"):
        build(load(use_liger_kernel=True))


def test_liger_passes_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "liger_kernel" else found(name))
    assert build(load(use_liger_kernel=True)).use_liger_kernel is True


def test_what_transformers_refuses_is_a_mistake_of_the_config() -> None:
    with pytest.raises(ConfigError, match="dataloader_prefetch_factor"):
        build(load(dataloader_prefetch_factor=2))


def test_activation_checkpointing_is_known_to_older_versions_by_its_older_name(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [field for field in dataclasses.fields(transformers.TrainingArguments) if "activation" not in field.name]
    monkeypatch.setattr(dataclasses, "fields", lambda kind: kept)
    assert build(load(gradient_checkpointing=True)).gradient_checkpointing is True
