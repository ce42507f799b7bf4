"""The model card of final/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import config_from_values
from eterna.pipeline.train import train
from eterna.reports import write_card
from eterna.runs import RunFolder


def test_the_card_names_data_licence_scores_limits_and_how_to_load(run_values: dict[str, Any]) -> None:
    from huggingface_hub import ModelCard

    trained = train(config_from_values({**run_values, "world": "eterna:biblioteca"}), Console(quiet=True))
    assert trained is not None
    text = (trained.run.final / "README.md").read_text(encoding="utf-8")
    card = ModelCard(text)
    assert card.data.library_name == "peft"
    assert card.data.license == "cc-by-4.0"
    assert card.data.language == ["en", "es"]
    assert card.data.base_model is None  # a local folder has no name on the Hub
    source = trained.run.data()["sources"][0]
    assert source["sha256"][:16] in text
    score = next(s for s in trained.scores if (s.metric, s.system) == ("perplexity", "tuned"))
    (row,) = (line for line in text.splitlines() if line.startswith("| perplexity | lower | "))
    tuned = row.split("|")[4]
    assert float(tuned.split("[")[0].replace(",", "")) == pytest.approx(score.value, rel=1e-3)
    assert "no scored reply broke it" in text
    assert f"Trained from `{run_values['model']['name']}` (LoRA r=4)" in text
    assert "## Limits" in text
    assert "AutoPeftModelForCausalLM.from_pretrained" in text
    assert "&" not in text.replace("&nbsp;", "")


def test_a_run_without_held_out_data_or_world_has_a_card_too(run_values: dict[str, Any], tmp_path: Path) -> None:
    data = {key: value for key, value in run_values["data"].items() if key != "eval"}
    trained = train(config_from_values({**run_values, "data": data}), Console(quiet=True))
    assert trained is not None
    text = (trained.run.final / "README.md").read_text(encoding="utf-8")
    assert "Not scored" in text
    assert "for you to state" in text


def card_of(run: RunFolder, **model: str) -> str:
    """The card of a run without figures."""
    values = {"model": {"name": "some/model", **model}, "data": {"train": [{"path": "a.jsonl"}]}}
    run.start(config_from_values(values), {}, {})
    run.final.mkdir()
    return write_card(run).read_text(encoding="utf-8")


def test_a_base_on_the_hub_is_named_and_a_folder_of_that_name_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "base_model: some/model" in card_of(RunFolder(tmp_path / "one"))
    (tmp_path / "some" / "model").mkdir(parents=True)
    text = card_of(RunFolder(tmp_path / "two"))
    assert "base_model" not in text
    assert "Trained from `some/model` (full fine-tuning)" in text


def test_random_weights_have_no_base(tmp_path: Path) -> None:
    text = card_of(RunFolder(tmp_path / "run"), init="random")
    assert "Trained from random weights, in the shape of `some/model`" in text
    assert "base_model" not in text
    assert "inherits what its base" not in text


def test_broken_rules_are_counted_whoever_found_them(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.write_canon([{"rule": "a"}, {"rule": "b"}])
    assert "Canon: broken in 2 places by scored replies" in card_of(run)
