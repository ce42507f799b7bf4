"""The model card of final/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from eterna.config import config_from_values
from eterna.pipeline.train import train


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
    assert "| perplexity | lower | " in text
    assert score.value is not None
    assert f"{score.value:.2f}"[:4] in text
    assert "no scored reply broke it" in text
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
