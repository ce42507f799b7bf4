"""docs/config.md says how each setting is written, what it is when left out, and what becomes of transformers' names."""

from __future__ import annotations

import re

from scripts.config_docs import page

from eterna.config.field_tables import ANSWERS

PAGE = page()


def line(start: str) -> str:
    (found,) = [line for line in PAGE.splitlines() if line.startswith(start)]
    return found


def of_training(start: str) -> set[str]:
    """Names in the line under `training` that begins so."""
    under = PAGE.partition("## `training`\n")[2].partition("\n## ")[0]
    (found,) = [line for line in under.splitlines() if line.startswith(start)]
    return set(re.findall(r"`(\w+)`", found))


def test_headings_are_the_dotted_names_in_the_order_of_a_run_file() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert headings[:4] == ["Top level", "`model`", "`lora`", "`data`"]
    assert {"`data.train[]`, `data.eval[]`", "`evaluation.during_training`"} <= set(headings)


def test_defaults_are_written_as_in_a_run_file() -> None:
    assert "| `[tensorboard]` |" in line("| `report_to` ")
    assert "| the file's name without its ending |" in line("| `name` | text | the")
    assert "| `auto` |" in line("| `precision` ")


def test_only_what_goes_on_unchanged_is_listed_as_such() -> None:
    unchanged = of_training("Passed through unchanged")
    assert {"adam_beta1", "neftune_noise_alpha"} <= unchanged
    assert not {"bf16", "fp16", "gradient_checkpointing", *ANSWERS} & unchanged
    assert {"bf16", "fp16", "gradient_checkpointing"} <= of_training("Old names")
    assert of_training("Accepted, not needed") == set(ANSWERS)
