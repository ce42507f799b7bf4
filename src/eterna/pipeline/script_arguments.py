"""`eterna.TrainingArguments`: transformers' own, under old names and new ones."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

from eterna.config.old_names import GONE, OLD_NAMES
from eterna.errors import ConfigError, EternaWarning
from eterna.text import name_hint, shown


def TrainingArguments(output_dir: str | None = None, **settings: Any) -> Any:  # noqa: N802
    """transformers' TrainingArguments. Each old name works and is answered with one EternaWarning.

    `logging_dir`, which transformers left out, is where `eterna.Trainer` lets TensorBoard's event files land. Raises
    ConfigError for a name nobody ever knew, for one thing said twice, and for fp16 without a GPU.
    """
    import torch
    import transformers

    known = {field.name for field in dataclasses.fields(transformers.TrainingArguments)}
    values, notes = translate(settings, known)
    for note in notes:
        warnings.warn(note, EternaWarning, stacklevel=2)
    folder = values.pop("logging_dir", None)
    if folder:
        values.setdefault("report_to", "tensorboard")
    if values.get("fp16") and not torch.accelerator.is_available():
        raise ConfigError("fp16=True needs a GPU, and there is none here", fix="leave it out on this machine")
    arguments = transformers.TrainingArguments(output_dir=output_dir, **values)
    if folder:
        arguments.logging_dir = str(Path(folder).expanduser())
    return arguments


def translate(settings: dict[str, Any], known: set[str]) -> tuple[dict[str, Any], list[str]]:
    """Settings by the names the installed transformers has (and `logging_dir`), with one line for each old name."""
    values: dict[str, Any] = {}
    notes: list[str] = []
    for name, value in settings.items():
        (_, new), convert = OLD_NAMES.get(("training", name), (("training", name), None))
        if name in GONE:
            notes.append(f"{name} is not needed any more: {GONE[name]}")
        elif convert and new in known:
            converted = convert(value)
            if converted is None:
                continue
            if settings.get(str(new)) is not None:
                raise ConfigError(f"{name} and {new} say the same thing twice", fix=f"keep {new} only")
            values[str(new)] = converted
            notes.append(f"{name} is now {new}" + ("" if new == "hub_token" else f"={shown(converted)}"))
        elif name in known:
            values[name] = value
        elif name == "logging_dir":
            values[name] = value
            notes.append("logging_dir is no field of TrainingArguments any more; eterna.Trainer still writes there")
        else:
            fix = "give max_length to Trainer" if name == "max_seq_length" else name_hint(name, known)
            raise ConfigError(f"TrainingArguments has no field {name}", fix=fix)
    return values, notes
