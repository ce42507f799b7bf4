"""Which checkpoint is kept: the composite of every evaluation, written down with its reasons."""

from __future__ import annotations

from typing import Any

from eterna.evaluation import Composite
from eterna.runs import RunFolder


class Choice:
    """Collects the composites of a run and explains the one that was kept."""

    def __init__(self, run: RunFolder, weights: dict[str, float]) -> None:
        self.run = run
        self.weights = weights
        self.rows: list[dict[str, Any]] = []

    def go_on_from(self, step: int) -> None:
        """Take over what an interrupted run had found up to `step`."""
        self.rows = [row for row in self.run.best().get("evaluations", []) if row["step"] <= step]

    def add(self, step: int, found: Composite) -> None:
        """One evaluation."""
        self.rows = [row for row in self.rows if row["step"] != step]
        row = {"step": step, "composite": found.value, "terms": found.terms, "missing": list(found.missing)}
        self.rows.append(row)
        self.run.write_best({"weights": self.weights, "evaluations": self.rows, "kept": None, "why": None})

    def decide(self, kept: int | None, last: int) -> str:
        """Write down which step's weights are in final/. Returns the explanation."""
        why = self._explain(kept, last)
        self.run.write_best({"weights": self.weights, "evaluations": self.rows, "kept": kept, "why": why})
        return why

    def _explain(self, kept: int | None, last: int) -> str:
        row = next((row for row in self.rows if row["step"] == kept), None)
        if row is None:
            return f"no checkpoint was chosen; final/ holds the weights of the last step, {last}"
        terms = ", ".join(f"{name} {term:+.4f}" for name, term in row["terms"].items())
        ranked = sorted((one for one in self.rows if one["step"] > 0), key=lambda one: -one["composite"])
        second = next((one for one in ranked if one["step"] != kept), None)
        against = f"; next best is step {second['step']} with {second['composite']:+.4f}" if second else ""
        worse = "; the model before training was better (0)" if row["composite"] < 0 else ""
        return f"final/ holds checkpoint-{kept}: composite {row['composite']:+.4f} ({terms}){against}{worse}"
