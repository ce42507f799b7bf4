"""The model card of final/: what it is, what it was trained on, how it scored, how to load it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from eterna.config import ModelSection, method_of
from eterna.files import write_whole
from eterna.reports.page import load_templates, python_lines
from eterna.reports.signs import fixed
from eterna.reports.verdict import score_rows
from eterna.runs import RunFolder, Score


def write_card(run: RunFolder) -> Path:
    """Write README.md into the run's final/ folder, in the form the Hugging Face Hub reads."""
    config, data = run.config(), run.data()
    adapter = (run.final / "adapter_config.json").is_file()
    sources, world = data.get("sources", []), data.get("world")
    templates = load_templates(escape=False)  # Markdown
    templates.filters["cell"] = _cell
    text = templates.get_template("card.md.jinja").render(
        head=_head(config.model, adapter, world),
        name=config.name,
        method=method_of(config),
        random=config.model.init == "random",
        base=config.model.name,
        eterna=run.environment().get("eterna"),
        sources=sources,
        world=world,
        others=any(not str(source["name"]).startswith("world:") for source in sources),
        rows=[row for row in score_rows(run.scores()) if all(_has_value(score) for score in row.cells.values())],
        breaches=run.canon(),
        canon_untested=run.canon_untested(),
        redrawn=run.redrawn(),
        python=python_lines(Path("final"), adapter),
    )
    path = run.final / "README.md"
    write_whole(path, text)
    return path


def _has_value(score: Score | None) -> bool:
    return score is not None and score.value is not None


def _cell(score: Score, decimals: int) -> str:
    assert score.value is not None
    value = fixed(score.value, decimals)
    if score.low is None or score.high is None:
        return value
    return f"{value} [{fixed(score.low, decimals)}, {fixed(score.high, decimals)}]"


def _head(base: ModelSection, adapter: bool, world: dict[str, Any] | None) -> str:
    """The card's YAML for the Hub. A local base model has no name there, random weights no base: both are left out."""
    from ruamel.yaml import YAML

    values: dict[str, Any] = {"pipeline_tag": "text-generation", "tags": ["eterna", "npc", "narrative"]}
    values["library_name"] = "peft" if adapter else "transformers"
    local = base.name.startswith((".", "/", "~")) or Path(base.name).exists()
    if base.name.count("/") == 1 and not local and base.init == "pretrained":
        values["base_model"] = base.name
    if world:
        values |= {"license": str(world["licence"]).lower(), "language": list(world["languages"])}
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(values, out)
    return out.getvalue()
