"""The training section as transformers' TrainingArguments, checked against the installed version."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from typing import Any

from eterna.config import OWN_TRACKERS, TrainingSection
from eterna.config.field_tables import ANSWERS
from eterna.errors import ConfigError, Problem

# Lower is better, which transformers only guesses of names that end in "loss".
LOWER_IS_BETTER = ("perplexity", "bits_per_byte")
# Current name -> the name in the older versions of our range.
FORMERLY = {
    "activation_checkpointing": "gradient_checkpointing",
    "activation_checkpointing_kwargs": "gradient_checkpointing_kwargs",
}


def build_arguments(training: TrainingSection, precision: str, has_eval: bool) -> Any:
    """TrainingArguments for a run. Raises ConfigError for a field or value the installed transformers refuses."""
    import transformers
    from accelerate.parallelism_config import ParallelismConfig

    values = _values(training, precision, has_eval)
    known = {field.name for field in dataclasses.fields(transformers.TrainingArguments)}
    for name, former in FORMERLY.items():
        if name in values and name not in known:
            values[former] = values.pop(name)
    if unknown := sorted(set(values) - known):
        version = transformers.__version__
        raise ConfigError(
            Problem(
                f"training.{name} is not a setting of transformers {version}",
                fix="remove it, or install a newer version",
            )
            for name in unknown
        )
    if values.get("use_liger_kernel") and importlib.util.find_spec("liger_kernel") is None:
        raise ConfigError(
            "training.use_liger_kernel is true, but liger-kernel is not installed",
            fix="pip install liger-kernel, or remove the setting",
        )
    try:
        if "parallelism_config" in values:
            values["parallelism_config"] = ParallelismConfig(**values["parallelism_config"])
        return transformers.TrainingArguments(**values)
    except (ValueError, TypeError, ImportError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"transformers refuses the training section: {first[:400]}", fix="see its TrainingArguments"
        ) from error


def _values(training: TrainingSection, precision: str, has_eval: bool) -> dict[str, Any]:
    """The section by the names of TrainingArguments, with what Eterna decides itself."""
    import torch

    values = {name: value for name, value in training.model_dump(exclude_none=True).items() if name not in ANSWERS}
    if values["eval_strategy"] == "auto":
        values["eval_strategy"] = "steps" if has_eval else "no"
    del values["precision"]
    values["bf16"], values["fp16"] = precision == "bf16", precision == "fp16"
    if not torch.cuda.is_available():
        values.setdefault("use_cpu", True)
    values["report_to"] = [name for name in training.report_to if name not in OWN_TRACKERS] or "none"
    # Trainer's own bar and its columns, which Eterna replaces.
    values["disable_tqdm"], values["remove_unused_columns"], values["logging_nan_inf_filter"] = True, False, False
    values.setdefault("logging_first_step", values.get("logging_strategy") != "no")
    values.setdefault("hub_strategy", "end")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        values.pop("ddp_backend", None)  # accelerate looks for a group of processes as soon as one is named
    if str(values.get("metric_for_best_model")).removeprefix("eval_") in LOWER_IS_BETTER:
        values.setdefault("greater_is_better", False)
    return values
