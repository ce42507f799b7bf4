"""Each key of the run file, mistyped once in each way: refused, with the right name proposed first."""

from __future__ import annotations

import copy
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random, SystemRandom
from typing import Any, get_args

import pytest

from eterna.config import config_from_values
from eterna.config.field_tables import FIELD_TABLES, OPTIMIZERS, SCHEDULES
from eterna.config.loading import _section_of
from eterna.config.old_names import GONE, OLD_NAMES
from eterna.config.sections import RunConfig
from eterna.errors import ConfigError
from eterna.text import mistakes, nearest

from .typing_mistakes import KINDS

WHOLE: dict[str, Any] = {
    "model": {"name": "some/model"},
    "lora": {},
    "data": {"train": [{"path": "a.jsonl", "columns": {}}], "eval": [{"path": "b.jsonl"}], "columns": {}},
    "training": {},
    "evaluation": {"during_training": {}},
    "generation": {},
    "tracking": {"mlflow": {}},
}
SEED = SystemRandom().randrange(10**6)


def sections(section: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], set[str]]]:
    """Path and keys of every section, the pass-through fields of transformers and PEFT among them."""
    yield path, set(section.model_fields) | set(FIELD_TABLES.get(str(path[0]), {}) if len(path) == 1 else {})
    for name, info in section.model_fields.items():
        if inner := _section_of(info.annotation):
            yield from sections(inner, (*path, name, 0) if name in ("train", "eval") else (*path, name))


def refusal(path: tuple[str | int, ...], key: str) -> str | None:
    """What is said to a run file that has this key with some value at `path`; None where it is taken."""
    values = copy.deepcopy(WHOLE)
    target: Any = values
    for part in path:
        target = target[part] if isinstance(target, list) else target.setdefault(part, {})
    target[key] = 3
    try:
        config_from_values(values)
    except ConfigError as error:
        dotted = ".".join(map(str, (*path, key)))
        found = [problem for problem in error.problems if problem.message == f"unknown key {dotted}"]
        return str(found[0].fix) if found else ""
    return None


def test_every_mistyped_key_is_refused_and_the_right_one_proposed_first(capsys: pytest.CaptureFixture[str]) -> None:
    random, counts, wrong = Random(SEED), Counter[str](), []
    for path, keys in sections(RunConfig):
        taken = (
            keys
            | {str(old[1]) for old in OLD_NAMES if old[:1] == path}
            | (set(GONE) if path == ("training",) else set())
        )
        for key in sorted(keys):
            for kind, mistake in KINDS.items():
                written = mistake(key, random)
                if written in taken:
                    counts["another key"] += 1
                    continue
                counts["mistakes"] += 1
                said = refusal(path, written)
                assert said, f"{'.'.join(map(str, (*path, written)))} is taken (seed {SEED})"
                right = ".".join(map(str, (*path, key)))
                if said.startswith(f"did you mean {right!r}?"):
                    counts["right"] += 1
                else:
                    wrong.append(f"{kind}: {written} for {right}: {said}")
    with capsys.disabled():
        sys.stdout.write(
            f"\n{counts['mistakes']} mistyped keys (seed {SEED}): all refused, {counts['right']} with the right name\n"
        )
    assert counts["mistakes"] > 1000
    assert counts["right"] >= 0.95 * counts["mistakes"], wrong


def choices() -> Iterator[tuple[str, list[str]]]:
    """Dotted name and values of every setting with a fixed set of words."""
    for path, _ in sections(RunConfig):
        section: Any = RunConfig
        for part in path:
            section = section if isinstance(part, int) else _section_of(section.model_fields[part].annotation)
        for name, info in section.model_fields.items():
            words = [word for word in _literals(info.annotation) if len(word) > 2]
            if words:
                yield ".".join(map(str, (*path, name))), words
    yield "training.optim", OPTIMIZERS
    yield "training.lr_scheduler_type", SCHEDULES


def _literals(annotation: Any) -> Iterator[str]:
    for inner in get_args(annotation):
        if isinstance(inner, str):
            yield inner
        yield from _literals(inner)


def test_a_mistyped_word_among_a_few_is_refused_with_the_right_one() -> None:
    random, counts, wrong = Random(SEED), Counter[str](), []
    for dotted, words in choices():
        for word in words:
            for kind, mistake in KINDS.items():
                written = mistake(word, random)
                if written in words or (dotted == "data.train_on" and written):
                    continue
                values = copy.deepcopy(WHOLE)
                *path, last = [int(part) if part.isdigit() else part for part in dotted.split(".")]
                target: Any = values
                for part in path:
                    target = target[part]
                target[last] = [written] if last == "metrics" else written
                with pytest.raises(ConfigError) as caught:
                    config_from_values(values)
                counts["all"] += 1
                if f"did you mean {word!r}?" in str(caught.value):
                    counts["right"] += 1
                else:
                    wrong.append(f"{kind}: {dotted}: {written} for {word}")
    assert counts["all"] > 300
    assert counts["right"] >= 0.95 * counts["all"], (SEED, wrong)


@pytest.mark.parametrize(
    ("written", "meant", "count"),
    [("a", "a", 0), ("sede", "seed", 1), ("sed", "seed", 1), ("epsr", "steps", 3), ("", "ab", 2)],
)
def test_mistakes_are_counted_as_by_hand(written: str, meant: str, count: int) -> None:
    assert mistakes(written, meant) == count


def test_a_name_like_no_other_gets_no_proposal() -> None:
    assert nearest("zzz", ["seed", "optim", "r"]) is None
    assert nearest("zz", ["r"]) is None
