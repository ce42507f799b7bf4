"""Every name in the lora section must match something: PEFT is content when one of several does."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any

from eterna.config import LoraSection
from eterna.errors import ConfigError, ModelError, Problem
from eterna.text import name_hint, shown

# Starting points that PEFT works out from data or from settings that a run file cannot hold.
FROM_DATA = ("eva", "corda", "loftq", "lora_ga")

Match = Callable[[str, str], bool]


def check_lora(model: Any, lora: LoraSection) -> None:
    """Refuse what the installed PEFT does not know and what this model does not have.

    Raises ConfigError for a setting, ModelError for a name; each with the nearest one.
    """
    values = lora.model_dump(exclude_none=True)
    _check_fields(values)
    modules = [name for name, _ in model.named_modules() if name]
    problems = []
    for key in ("target_modules", "exclude_modules"):
        wanted = values.get(key, [])
        if isinstance(wanted, list):
            problems += _unmatched(key, wanted, modules, _ends_with)
        elif wanted != "all-linear":
            unmatched = _unmatched(key, [wanted], modules, _matches_whole)
            if unmatched and any(_ends_with(wanted, name) for name in modules):
                message = (
                    f"lora.{key} is {shown(wanted)}, which PEFT takes for a pattern of whole names; it matches none"
                )
                unmatched = [Problem(message, fix=f"write a list: {key}: [{wanted}]")]
            problems += unmatched
    problems += _unmatched("modules_to_save", values.get("modules_to_save", []), modules, _ends_with)
    for key in ("rank_pattern", "alpha_pattern"):
        problems += _unmatched(key, values.get(key, {}), modules, _matches_end)
    parameters = [name for name, _ in model.named_parameters()]
    problems += _unmatched("target_parameters", values.get("target_parameters", []), parameters, _ends_with)
    problems += _missing_layers(values.get("layers_to_transform", []), modules)
    if problems:
        raise ModelError(problems)


def _check_fields(values: dict[str, Any]) -> None:
    import peft

    known = {field.name for field in dataclasses.fields(peft.LoraConfig) if field.init}
    fix = "remove it, or install a newer version"
    if unknown := sorted(values.keys() - known):
        raise ConfigError(
            Problem(f"lora.{name} is not a setting of PEFT {peft.__version__}", fix=fix) for name in unknown
        )
    if values.get("init_lora_weights") in FROM_DATA:
        raise ConfigError(
            f"lora.init_lora_weights is {values['init_lora_weights']!r}, which PEFT works out beside the run file",
            fix="use true, gaussian, orthogonal, pissa or olora",
        )
    if (start := str(values.get("init_lora_weights"))).startswith("pissa_niter_"):
        message = f"lora.init_lora_weights is {start!r}, which draws at random again when final/ is loaded"
        raise ConfigError(message, fix="use pissa, which is exact")


def _ends_with(wanted: str, name: str) -> bool:
    return name == wanted or name.endswith(f".{wanted}")


def _matches_whole(wanted: str, name: str) -> bool:
    return bool(re.fullmatch(wanted, name))


def _matches_end(wanted: str, name: str) -> bool:
    return bool(re.fullmatch(rf"(.*\.)?({wanted})", name))


def _unmatched(key: str, wanted: Iterable[str], names: list[str], match: Match) -> list[Problem]:
    leaves = {leaf for name in names if not (leaf := name.rsplit(".", 1)[-1]).isdigit()}
    problems = []
    for one in wanted:
        try:
            found = any(match(one, name) for name in names)
        except re.error as error:
            fix = "close its parentheses and brackets, or give a list of names"
            problems.append(Problem(f"lora.{key} is no regular expression: {shown(one)}: {error}", fix=fix))
            continue
        if not found:
            near = name_hint(re.split(r"\.", one)[-1].strip("*)$"), leaves)
            problems.append(Problem(f"lora.{key} names {shown(one)}, which this model does not have", fix=near))
    return problems


def _missing_layers(wanted: int | list[int], names: list[str]) -> list[Problem]:
    wanted = [wanted] if isinstance(wanted, int) else wanted
    present = {int(found[1]) for name in names if (found := re.match(r".*\.[^.]*\.(\d+)\.", name))}
    return [
        Problem(
            f"lora.layers_to_transform names layer {layer}, which this model does not have",
            fix=f"its layers are 0 to {max(present)}" if present else "its layers are not numbered",
        )
        for layer in wanted
        if layer not in present
    ]
