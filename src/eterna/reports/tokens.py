"""The page of `eterna data show --html`: examples token by token, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eterna.reports.page import load_templates


def build_token_page(title: str, examples: Sequence[Any]) -> str:
    """HTML of examples that have id, place, part, tokens, trained and pieces (ids, text, weight, special)."""
    return load_templates().get_template("tokens.html.jinja").render(title=title, examples=examples)
