"""Names that older guides use, and what they are called now. Each one works and is answered with one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eterna.config.reading import KeyPath, Marked
from eterna.errors import ConfigError
from eterna.text import shown

Rename = tuple[KeyPath, Callable[[Any], Any]]


def _same(value: Any) -> Any:
    return value


def _when_true(meaning: Any) -> Callable[[Any], Any]:
    return lambda value: meaning if value is True else None


def _inside(key: str) -> Callable[[Any], Any]:
    return lambda value: {key: value} if value else None


# old path -> (new path, conversion); a conversion to None means "the default", so nothing is set.
OLD_NAMES: dict[KeyPath, Rename] = {
    ("training", "evaluation_strategy"): (("training", "eval_strategy"), _same),
    ("training", "evaluate_during_training"): (("training", "eval_strategy"), _when_true("steps")),
    ("training", "per_gpu_train_batch_size"): (("training", "per_device_train_batch_size"), _same),
    ("training", "per_gpu_eval_batch_size"): (("training", "per_device_eval_batch_size"), _same),
    ("training", "logging_dir"): (("tracking", "tensorboard_dir"), _same),
    ("training", "warmup_ratio"): (("training", "warmup_steps"), _same),
    ("training", "fp16"): (("training", "precision"), _when_true("fp16")),
    ("training", "bf16"): (("training", "precision"), _when_true("bf16")),
    ("training", "no_cuda"): (("training", "use_cpu"), _same),
    ("training", "adafactor"): (("training", "optim"), _when_true("adafactor")),
    ("training", "group_by_length"): (("training", "train_sampling_strategy"), _when_true("group_by_length")),
    ("training", "gradient_checkpointing"): (("training", "activation_checkpointing"), _same),
    ("training", "gradient_checkpointing_kwargs"): (("training", "activation_checkpointing_kwargs"), _same),
    ("training", "torchdynamo"): (("training", "torch_compile_backend"), _same),
    ("training", "xpu_backend"): (("training", "ddp_backend"), _same),
    ("training", "split_batches"): (("training", "accelerator_config"), _inside("split_batches")),
    ("training", "dispatch_batches"): (("training", "accelerator_config"), _inside("dispatch_batches")),
    ("training", "fsdp_min_num_params"): (("training", "fsdp_config"), _inside("min_num_params")),
    ("training", "fsdp_transformer_layer_cls_to_wrap"): (
        ("training", "fsdp_config"),
        _inside("transformer_layer_cls_to_wrap"),
    ),
    ("training", "push_to_hub_model_id"): (("training", "hub_model_id"), _same),
    ("training", "push_to_hub_token"): (("training", "hub_token"), _same),
    ("training", "max_seq_length"): (("data", "max_length"), _same),
    ("model", "torch_dtype"): (("model", "dtype"), _same),
    ("model", "model_name_or_path"): (("model", "name"), _same),
    ("data", "max_seq_length"): (("data", "max_length"), _same),
}

_BY_ITSELF = "the device is found by itself"
_AMP = "torch's own mixed precision is used"

# Fields that TrainingArguments once had and nothing replaces, with the reason why nothing has to.
GONE: dict[str, str] = {
    "fp16_backend": _AMP,
    "fp16_opt_level": _AMP,
    "half_precision_backend": _AMP,
    "include_inputs_for_metrics": "the evaluation has its own metrics",
    "include_tokens_per_second": "tokens per second are always recorded",
    "jit_mode_eval": "torch_compile is what took its place",
    "mp_parameters": "it belongs to SageMaker's launcher",
    "overwrite_output_dir": "a folder that holds a run is never written over; give each run its own output_dir",
    "past_index": "causal language models keep no such memory",
    "push_to_hub_organization": "write the owner into hub_model_id: owner/name",
    "ray_scope": "it belongs to a search for settings, which is not done here",
    "save_safetensors": "weights are always saved as safetensors",
    "sharded_ddp": "fsdp is what took its place",
    "tpu_metrics_debug": "debug is what took its place",
    "tpu_num_cores": _BY_ITSELF,
    "use_ipex": "torch has its optimizations by now",
    "use_legacy_prediction_loop": "the evaluation has its own loop",
    "use_mps_device": _BY_ITSELF,
}


def move_old_names(marked: Marked) -> list[str]:
    """Replace old names in place. Returns one line for each; an old name beside its new one is an error."""
    notes = []
    for old, (new, convert) in OLD_NAMES.items():
        section = marked.values.get(old[0])
        if not isinstance(section, dict) or old[1] not in section:
            continue
        value = section.pop(old[1])
        target = marked.values.setdefault(new[0], {})
        if not isinstance(target, dict):
            continue
        converted = convert(value)
        if converted is None:
            continue
        if target.get(new[1]) is not None:
            raise ConfigError(
                f"{'.'.join(map(str, old))} and {'.'.join(map(str, new))} say the same thing twice",
                marked.place_of(old),
                f"keep {'.'.join(map(str, new))} only",
            )
        target[new[1]] = converted
        marked.renamed[new] = old
        marked.places[new] = marked.places.get(old, marked.places[()])
        said = "" if new[1] == "hub_token" else f": {shown(converted)}"
        notes.append(f"{'.'.join(map(str, old))} is now {'.'.join(map(str, new))}{said}")
    training = marked.values.get("training")
    for name in [name for name in GONE if isinstance(training, dict) and name in training]:
        del training[name]
        notes.append(f"training.{name} is not needed any more: {GONE[name]}")
    return notes
