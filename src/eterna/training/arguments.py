"""The training section as transformers' TrainingArguments, checked against the installed version."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Sequence
from typing import Any

from eterna.config import OWN_TRACKERS, TrainingSection
from eterna.config.field_tables import ANSWERS, MUON
from eterna.errors import ConfigError, Problem
from eterna.text import first_line, name_hint, shown

# Lower is better, which transformers only guesses of names that end in "loss".
LOWER_IS_BETTER = ("perplexity", "bits_per_byte")
# Current name -> the name in the older versions of our range.
FORMERLY = {
    "activation_checkpointing": "gradient_checkpointing",
    "activation_checkpointing_kwargs": "gradient_checkpointing_kwargs",
}

# Trackers that transformers leaves out of its list of installed ones (azure_ml only beside mlflow).
NEVER_LISTED = {"azure_ml", "flyte"}


def build_arguments(training: TrainingSection, precision: str, has_eval: bool) -> Any:
    """TrainingArguments for a run. Raises ConfigError for a field or value the installed transformers refuses."""
    import transformers
    from accelerate.parallelism_config import ParallelismConfig

    values = _values(training, precision, has_eval)
    muon = values["optim"] == MUON
    if muon:  # transformers has none of that name; EternaTrainer makes it
        values["optim"] = "adamw_torch_fused"
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
        arguments = transformers.TrainingArguments(**values)
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(
            f"transformers refuses the training section: {first_line(error, 400)}", fix="see its TrainingArguments"
        ) from error
    arguments.muon = muon
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


def _values(training: TrainingSection, precision: str, has_eval: bool) -> dict[str, Any]:
    """The section by the names of TrainingArguments, with what Eterna decides itself."""
    import torch

    values = {name: value for name, value in training.model_dump(exclude_none=True).items() if name not in ANSWERS}
    if values["eval_strategy"] == "auto":
        values["eval_strategy"] = "steps" if has_eval else "no"
    del values["precision"], values["fast_path"]
    values["bf16"], values["fp16"] = precision == "bf16", precision == "fp16"
    if not torch.cuda.is_available():
        values.setdefault("use_cpu", True)
    values["report_to"] = foreign_trackers(training.report_to) or "none"
    # Trainer's own bar and its columns, which Eterna replaces.
    values["disable_tqdm"], values["remove_unused_columns"], values["logging_nan_inf_filter"] = True, False, False
    values.setdefault("logging_first_step", values.get("logging_strategy") != "no")
    values.setdefault("hub_strategy", "end")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        values.pop("ddp_backend", None)  # accelerate looks for a group of processes as soon as one is named
    if str(values.get("metric_for_best_model")).removeprefix("eval_") in LOWER_IS_BETTER:
        values.setdefault("greater_is_better", False)
    return values
