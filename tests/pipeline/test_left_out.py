"""Held-out prompts that leave no room for a reply are not answered, and are counted."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from eterna.config import config_from_values
from eterna.pipeline.plan import make_plan, show_plan
from eterna.pipeline.train import train


def with_long_replies(values: dict[str, Any], longest: int) -> dict[str, Any]:
    return {**values, "generation": {"max_new_tokens": longest}, "evaluation": {"probes": 2, "samples": 100}}


def test_prompts_without_room_stand_in_the_plan_and_in_the_run_folder(run_values: dict[str, Any]) -> None:
    room = 60
    values = with_long_replies(run_values, 200 - room)
    every = make_plan(config_from_values(with_long_replies(run_values, 8))).data
    long = sum(len(item.prompt_ids) >= room for item in every.items)
    assert 0 < long < len(every.items)
    assert every.prompts_too_long == 0

    plan, out = make_plan(config_from_values(values)), io.StringIO()
    show_plan(plan, Console(file=out, width=200))
    assert f"note      {long} held-out prompts not answered: no room for a reply" in out.getvalue()
    assert len(plan.data.items) == len(every.items) - long

    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    assert trained.run.data()["prompts_too_long"] == long
    assert f"leave no room for a reply: {long}." in trained.run.report.read_text(encoding="utf-8")


def test_a_plan_without_such_prompts_does_not_speak_of_them(run_values: dict[str, Any]) -> None:
    assert not [note for note in make_plan(config_from_values(run_values)).notes if "not answered" in note]
