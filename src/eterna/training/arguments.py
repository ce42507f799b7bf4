"""The training section as transformers' TrainingArguments, checked against the installed version."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from eterna.config import OWN_TRACKERS, TrainingSection
from eterna.errors import ConfigError, Problem
from eterna.text import name_hint, shown

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

# Trackers that transformers leaves out of its list of installed ones (azure_ml only beside mlflow).
NEVER_LISTED = {"azure_ml", "flyte"}


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
    values["report_to"] = foreign_trackers(training.report_to) or "none"
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
        arguments = transformers.TrainingArguments(**{**FIXED, **values})
    except (ValueError, TypeError, ImportError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"transformers refuses the training section: {first[:400]}", fix="see its TrainingArguments"
        ) from error
    check_sharding(training, arguments)
    return arguments


def check_sharding(training: TrainingSection, arguments: Any) -> None:
    """Refuse FSDP where accelerate would leave it out without a word: on a CPU, and in a single process."""
    if arguments.device.type == "cpu":
        why, way_out = "FSDP needs GPUs and this run is on the CPU", "processes on a CPU train by DDP"
    elif arguments.parallel_mode.value != "distributed":
        why, way_out = "FSDP shares a model out over processes and this run is a single one", "or start it by torchrun"
    else:
        return
    asked = [("training.fsdp is true", "remove fsdp and fsdp_config")] if training.fsdp else []
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        fix = "unset it, or take `distributed_type: FSDP` out of the config of `accelerate launch`"
        asked.append(("ACCELERATE_USE_FSDP is true in the environment", fix))
    if asked:
        raise ConfigError(Problem(f"{what}, but {why}", fix=f"{fix}; {way_out}") for what, fix in asked)


def foreign_trackers(report_to: Sequence[str]) -> list[str]:
    """The trackers that transformers runs itself. Raises ConfigError for one it does not know or cannot find."""
    from transformers.integrations import integration_utils

    known, present = integration_utils.INTEGRATION_TO_CALLBACK, integration_utils.get_available_reporting_integrations()
    asked = [*report_to, *present] if "all" in report_to else report_to
    names = [name for name in dict.fromkeys(asked) if name not in (*OWN_TRACKERS, "all", "none")]
    for name in names:
        if name not in known:
            fix = name_hint(name, {*known, *OWN_TRACKERS, "all", "none"}, limit=20)
            raise ConfigError(f"training.report_to names {shown(name)}, which transformers does not know", fix=fix)
        if name not in {*present, *NEVER_LISTED}:
            fix = "install it, or remove it from training.report_to"
            raise ConfigError(f"training.report_to names {name}, which is not installed", fix=fix)
    return names
