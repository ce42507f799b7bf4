"""Names that older guides use, and what they are called now. Each one works and is answered with one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eterna.config.reading import Marked
from eterna.errors import ConfigError, Place
from eterna.text import shown

OldName = tuple[str, str]
Rename = tuple[OldName, Callable[[Any], Any]]


def _same(value: Any) -> Any:
    return value


def _when_true(meaning: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if value is not None and not isinstance(value, bool):
            raise ValueError("expected true or false")
        return meaning if value else None

    return convert


def _when_true_else_fp32(name: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if value in (None, "auto"):
            return None
        if not isinstance(value, bool):
            raise ValueError("expected true, false or auto")
        return name if value else "fp32"

    return convert


def _share(value: Any) -> Any:
    """A share of the steps; as `warmup_steps`, 1.0 would be a single step."""
    if value is None or value == 0:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError("expected a share of the steps, from 0 to below 1; training.warmup_steps counts steps")
    return value


def _inside(key: str) -> Callable[[Any], Any]:
    return lambda value: {key: value} if value else None


# old path -> (new path, conversion). A conversion to None means "the default", so nothing is set; it raises ValueError
# saying what it expected.
OLD_NAMES: dict[OldName, Rename] = {
    ("training", "evaluation_strategy"): (("training", "eval_strategy"), _same),
    ("training", "evaluate_during_training"): (("training", "eval_strategy"), _when_true("steps")),
    ("training", "per_gpu_train_batch_size"): (("training", "per_device_train_batch_size"), _same),
    ("training", "per_gpu_eval_batch_size"): (("training", "per_device_eval_batch_size"), _same),
    ("training", "logging_dir"): (("tracking", "tensorboard_dir"), _same),
    ("training", "warmup_ratio"): (("training", "warmup_steps"), _share),
    ("training", "fp16"): (("training", "precision"), _when_true_else_fp32("fp16")),
    ("training", "bf16"): (("training", "precision"), _when_true_else_fp32("bf16")),
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


def meaning_of(old: OldName, value: Any, place: Place | None = None) -> Any:
    """What the value of an old name is under its new one; None: the default. Raises ConfigError with what is valid."""
    try:
        return OLD_NAMES[old][1](value)
    except ValueError as error:
        raise ConfigError(f"{'.'.join(map(str, old))} is {shown(value)}", place, str(error)) from None


def joined(old: OldName, present: Any, meaning: Any, place: Place | None = None) -> Any:
    """The value of the new name, where an old one says `meaning` and `present` is there already (or None).

    Keys of one section come together. Raises ConfigError where both say the same thing.
    """
    if present is None:
        return meaning
    if isinstance(present, dict) and isinstance(meaning, dict) and not present.keys() & meaning.keys():
        return {**present, **meaning}
    new = ".".join(map(str, OLD_NAMES[old][0]))
    message = f"{'.'.join(map(str, old))} and {new} say the same thing twice"
    raise ConfigError(message, place, f"keep {new} only")


def move_old_names(marked: Marked) -> list[str]:
    """Replace old names in place. Returns one line for each; an old name beside its new one is an error."""
    notes = []
    _leave_one_precision(marked)
    for old, (new, _) in OLD_NAMES.items():
        section = marked.values.get(old[0])
        if not isinstance(section, dict) or old[1] not in section:
            continue
        value = section.pop(old[1])
        target = marked.values.setdefault(new[0], {})
        if not isinstance(target, dict):
            continue
        meaning = meaning_of(old, value, marked.place_of(old))
        if meaning is None:
            continue
        target[new[1]] = joined(old, target.get(new[1]), meaning, marked.place_of(old))
        marked.renamed[new] = old
        marked.places[new] = marked.places.get(old, marked.places[()])
        said = "" if new[1] == "hub_token" else f": {shown(meaning)}"
        notes.append(f"{'.'.join(map(str, old))} is now {'.'.join(map(str, new))}{said}")
    training = marked.values.get("training")
    for name in [name for name in GONE if isinstance(training, dict) and name in training]:
        del training[name]
        notes.append(f"training.{name} is not needed any more: {GONE[name]}")
    return notes


def _leave_one_precision(marked: Marked) -> None:
    """Of fp16 and bf16 leave the one that says more: true before auto before false. Raises ConfigError for two true."""
    training = marked.values.get("training")
    if not isinstance(training, dict):
        return
    if training.get("fp16") is True and training.get("bf16") is True:
        message = "training.fp16 and training.bf16 are both true"
        raise ConfigError(message, marked.place_of(("training", "bf16")), "keep one, or write precision: auto")
    for meek in ("False", "'auto'"):
        for name, other in (("bf16", "fp16"), ("fp16", "bf16")):
            said_better = training.get(other) is not None or training.get("precision") not in (None, "auto", name)
            if repr(training.get(name)) == meek and said_better:
                del training[name]
