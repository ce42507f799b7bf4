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


def _switch(name: str) -> Callable[[Any], Any]:
    return lambda value: name if value is True else None


def _optimizer(value: Any) -> Any:
    return "adafactor" if value is True else None


# old path -> (new path, conversion); a conversion to None means "the default", so nothing is set.
OLD_NAMES: dict[KeyPath, Rename] = {
    ("training", "evaluation_strategy"): (("training", "eval_strategy"), _same),
    ("training", "logging_dir"): (("tracking", "tensorboard_dir"), _same),
    ("training", "warmup_ratio"): (("training", "warmup_steps"), _same),
    ("training", "fp16"): (("training", "precision"), _switch("fp16")),
    ("training", "bf16"): (("training", "precision"), _switch("bf16")),
    ("training", "no_cuda"): (("training", "use_cpu"), _same),
    ("training", "adafactor"): (("training", "optim"), _optimizer),
    ("training", "gradient_checkpointing"): (("training", "activation_checkpointing"), _same),
    ("training", "gradient_checkpointing_kwargs"): (("training", "activation_checkpointing_kwargs"), _same),
    ("training", "max_seq_length"): (("data", "max_length"), _same),
    ("model", "torch_dtype"): (("model", "dtype"), _same),
    ("model", "model_name_or_path"): (("model", "name"), _same),
    ("data", "max_seq_length"): (("data", "max_length"), _same),
}


def move_old_names(marked: Marked) -> list[str]:
    """Replace old names in place. Returns one line per replacement; an old name beside its new one is an error."""
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
        notes.append(f"{'.'.join(map(str, old))} is now {'.'.join(map(str, new))}: {shown(converted)}")
    return notes
