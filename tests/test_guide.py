"""docs/guide.md has the guide's own headings in its order, and its commands print what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.guide_docs import missing_lines, prepare

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guide.md"
# The headings of the guide, in its order.
HEADINGS = [
    "# 4. Training Process",
    "## Setting up the Environment (PyTorch, Transformers)",
    "## Loading Pre-trained Models",
    "## Configuring the Trainer",
    "### Optimizers (AdamW, etc.)",
    "### Learning Rate Schedulers",
    "### Batch Size",
    "### Gradient Accumulation",
    "### Mixed Precision Training (FP16/BF16)",
    "## Monitoring Training (TensorBoard, MLflow)",
    "## Evaluation Metrics",
    "### Perplexity",
    "### BLEU Score",
    "### ROUGE Score",
    "### Custom Metrics (for La Biblioteca Eterna)",
    "## Checkpointing and Saving Models",
]


def test_every_heading_of_the_guide_is_there_in_its_order_with_a_command() -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if line.startswith("#") and line != text.splitlines()[0]]
    assert found == HEADINGS
    for heading, following in zip(HEADINGS[1:], [*HEADINGS[2:], None], strict=True):
        part = text.partition(heading + "\n")[2]
        part = part.partition("\n" + following + "\n")[0] if following else part
        assert "```console\n$ " in part, heading


def test_the_headings_are_those_of_the_guide_itself(shared: Path) -> None:
    guide = (shared / "GUIDE.md").read_text(encoding="utf-8")
    outside_code = "".join(guide.split("```")[::2])
    assert [line.strip() for line in outside_code.splitlines() if line.startswith("#")] == HEADINGS


@pytest.mark.timeout(1500)
def test_every_command_still_prints_what_the_page_shows(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert missing_lines(PAGE.read_text(encoding="utf-8"), tmp_path) == []
