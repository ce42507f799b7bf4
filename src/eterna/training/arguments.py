"""The training section as transformers' TrainingArguments, checked against the installed version."""

from __future__ import annotations

import dataclasses
from typing import Any

from eterna.config import OWN_TRACKERS, TrainingSection
from eterna.errors import ConfigError, Problem

# What some versions of transformers in our range call differently.
OLDER_NAMES = {
    "activation_checkpointing": "gradient_checkpointing",
    "activation_checkpointing_kwargs": "gradient_checkpointing_kwargs",
}

# Decided by Eterna, whatever the version's default.
FIXED: dict[str, Any] = {
    "remove_unused_columns": False,
    "disable_tqdm": True,
    "logging_nan_inf_filter": False,
    "logging_first_step": True,
}


def build_arguments(training: TrainingSection, precision: str, has_eval: bool) -> Any:
    """TrainingArguments for a run. Raises ConfigError for a field or value the installed transformers refuses."""
    import torch
    import transformers

    values = training.model_dump(exclude_none=True)
    strategy = values.pop("eval_strategy")
    values["eval_strategy"] = ("steps" if has_eval else "no") if strategy == "auto" else strategy
    values.pop("precision")
    values["bf16"], values["fp16"] = precision == "bf16", precision == "fp16"
    if not torch.cuda.is_available():
        values.setdefault("use_cpu", True)
    values["report_to"] = [name for name in training.report_to if name not in OWN_TRACKERS] or "none"
    known = {field.name for field in dataclasses.fields(transformers.TrainingArguments)}
    values = {name if name in known else OLDER_NAMES.get(name, name): value for name, value in values.items()}
    if unknown := sorted(set(values) - known):
        version = transformers.__version__
        raise ConfigError(
            Problem(
                f"training.{name} is not a setting of transformers {version}",
                fix="remove it, or install a newer version",
            )
            for name in unknown
        )
    try:
        return transformers.TrainingArguments(**{**FIXED, **values})
    except (ValueError, TypeError, ImportError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"transformers refuses the training section: {first[:400]}", fix="see its TrainingArguments"
        ) from error
