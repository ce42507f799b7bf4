"""The demo's control: what was recorded with the demo's own settings is shown beside those only."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from eterna.config import LoadedConfig, load_config
from eterna.pipeline import demo as demo_module
from eterna.pipeline.measuring import Measurer
from eterna.pipeline.plan import make_plan

CONTROL = Path(__file__).parents[2] / "recipes" / "control.yaml"


def asked(monkeypatch: pytest.MonkeyPatch, folder: Path, *overrides: tuple[str, str]) -> tuple[LoadedConfig, str]:
    """The configuration that the demo trains with these overrides, and what it says before."""
    found: list[LoadedConfig] = []
    monkeypatch.chdir(folder)
    monkeypatch.setattr(demo_module, "train", lambda loaded, console: found.append(loaded))
    said = StringIO()
    demo_module.demo(Console(file=said, width=300), overrides)
    return found[0], said.getvalue()


@pytest.mark.parametrize(
    "override",
    [(), ("training.seed", "7"), ("training.save_steps", "10"), ("evaluation.probes", "1"), ("name", "mine")],
)
def test_the_control_stays_beside_the_same_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, override: tuple[str, str]
) -> None:
    loaded, said = asked(monkeypatch, tmp_path, *([override] if override else []))
    assert loaded.config.evaluation.control == "eterna:demo_control"
    assert said == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [("training.max_steps", "2"), ("lora.r", "8"), ("generation.max_new_tokens", "4"), ("data.max_length", "512")],
)
def test_another_training_or_question_leaves_the_control_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, value: str
) -> None:
    loaded, said = asked(monkeypatch, tmp_path, (key, value))
    assert loaded.config.evaluation.control is None
    assert f"with {key} it is left out" in said


def test_a_control_of_one_s_own_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loaded, _ = asked(monkeypatch, tmp_path, ("training.max_steps", "2"), ("evaluation.control", "runs/mine"))
    assert loaded.config.evaluation.control == "runs/mine"


def test_the_control_is_the_demo_on_other_data() -> None:
    """Same base, adapters, steps and questions; only what it is trained on differs."""
    recipes = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in (demo_module.RECIPE, CONTROL)]
    for recipe in recipes:
        recipe.pop("name")
        for key in ("train", "too_long"):
            recipe["data"].pop(key)
        recipe["evaluation"].pop("control", None)
    assert recipes[0] == recipes[1]


def test_the_shipped_control_was_asked_what_the_demo_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A changed world, recipe or base needs the control measured again: recipes/control.yaml."""
    monkeypatch.chdir(tmp_path)
    plan = make_plan(load_config(demo_module.RECIPE))
    measurer = Measurer(plan.config, plan.world, plan.yardsticks, plan.read, plan.data, plan.tokenizer)
    assert len(measurer.answered()) == len(plan.data.items) > 150  # all of the test split
    control = plan.yardsticks.control
    assert control is not None
    steps = plan.config.training.max_steps
    assert control.origin == f"demo-control: eterna:base, {steps} steps on build/persona/train.jsonl"
