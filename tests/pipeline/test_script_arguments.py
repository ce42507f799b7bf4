"""eterna.TrainingArguments: old and new names, one line for each old one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import transformers

import eterna
from eterna.config.old_names import GONE, OLD_NAMES
from eterna.errors import ConfigError, EternaWarning
from eterna.pipeline.script_arguments import translate


def made(**settings: Any) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EternaWarning)
        arguments = eterna.TrainingArguments("out", **settings)
    return arguments, [str(warning.message) for warning in caught if warning.category is EternaWarning]


def test_current_names_pass_without_a_word() -> None:
    arguments, said = made(learning_rate=1e-4, max_steps=3)
    assert type(arguments) is transformers.TrainingArguments
    assert (arguments.output_dir, arguments.learning_rate, arguments.max_steps) == ("out", 1e-4, 3)
    assert said == []


@pytest.mark.parametrize(
    ("old", "value", "new", "meaning"),
    [
        ("no_cuda", True, "use_cpu", True),
        ("warmup_ratio", 0.1, "warmup_steps", 0.1),
        ("per_gpu_train_batch_size", 3, "per_device_train_batch_size", 3),
        ("adafactor", True, "optim", "adafactor"),
        ("group_by_length", True, "train_sampling_strategy", "group_by_length"),
    ],
)
def test_an_old_name_works_and_is_answered_once(old: str, value: Any, new: str, meaning: Any) -> None:
    arguments, said = made(**{old: value})
    found = getattr(arguments, new)
    assert getattr(found, "value", found) == meaning
    assert said == [f"{old} is now {new}={value if new == old else meaning!r}"]


TRAINING_NAMES = {name for section, name in OLD_NAMES if section == "training"} - {"max_seq_length"}


@pytest.mark.parametrize("name", sorted(TRAINING_NAMES | GONE.keys()))
def test_every_old_name_of_a_run_file_is_known_here_too(name: str) -> None:
    known = {new for (section, new), _ in OLD_NAMES.values() if section == "training"}
    _, notes = translate({name: 0.5 if name == "warmup_ratio" else True}, known)
    assert len(notes) == 1


def test_a_name_that_is_current_in_the_installed_version_passes_as_it_is() -> None:
    assert translate({"gradient_checkpointing": True}, {"gradient_checkpointing"}) == (
        {"gradient_checkpointing": True},
        [],
    )


def test_max_seq_length_is_the_trainer_s() -> None:
    with pytest.raises(ConfigError, match="give max_length to Trainer"):
        eterna.TrainingArguments("out", max_seq_length=8)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'learning_rate'"):
        eterna.TrainingArguments("out", learnig_rate=1e-4)


def test_an_old_name_beside_its_new_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        eterna.TrainingArguments("out", warmup_ratio=0.1, warmup_steps=5)


def test_old_names_for_keys_of_one_setting_come_together() -> None:
    given = {"split_batches": True, "accelerator_config": {"even_batches": False}, "dispatch_batches": True}
    values, _ = translate(given, {"accelerator_config"})
    assert values == {"accelerator_config": {"even_batches": False, "split_batches": True, "dispatch_batches": True}}


def test_logging_dir_turns_tensorboard_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    arguments, said = made(logging_dir="~/logs")
    assert arguments.logging_dir == str(tmp_path / "logs")
    assert arguments.report_to == ["tensorboard"]
    assert len(said) == 1


def test_fp16_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="fp16=True needs a GPU"):
        eterna.TrainingArguments("out", fp16=True)
