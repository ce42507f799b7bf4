"""`eterna.TrainingArguments`: transformers' own, under old names and new ones."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

from eterna.config.old_names import GONE, OLD_NAMES, joined, meaning_of
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
        old = ("training", name)
        new = OLD_NAMES[old][0][1] if old in OLD_NAMES else None
        if name in GONE:
            notes.append(f"{name} is not needed any more: {GONE[name]}")
        elif new in known:
            meaning = meaning_of(old, value)
            if meaning is None:
                continue
            values[str(new)] = joined(old, values.get(str(new), settings.get(str(new))), meaning)
            notes.append(f"{name} is now {new}" + ("" if new == "hub_token" else f"={shown(meaning)}"))
        elif name in known:
            values.setdefault(name, value)
        elif name == "logging_dir":
            values[name] = value
            notes.append("logging_dir is no field of TrainingArguments any more; eterna.Trainer still writes there")
        else:
            fix = "give max_length to Trainer" if name == "max_seq_length" else name_hint(name, known)
            raise ConfigError(f"TrainingArguments has no field {name}", fix=fix)
    return values, notes
