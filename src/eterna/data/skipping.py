"""Rows that cannot be used: left out and kept aside with `data.skip_bad`, else a reason to stop."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from eterna.errors import Place, Problem

MAX_SHOWN_BYTES = 10_000


@dataclass(frozen=True)
class BadRow(Problem):
    """A row that could not even be read, with its text as it stands in the file."""

    raw: str = ""


@dataclass(frozen=True)
class SkippedRow:
    """A row left out, and why."""

    place: Place
    problem: Problem
    raw: str
    """The row as text, at most MAX_SHOWN_BYTES bytes of it."""

    @classmethod
    def of(cls, row: dict[str, Any] | Problem, place: Place, problem: Problem) -> SkippedRow:
        """row: as it was read, before any conversion."""
        return cls(place, problem, _capped(_as_text(row)))

    def record(self) -> dict[str, Any]:
        """A line of skipped.jsonl."""
        where = {"file": self.place.file, "line": self.place.line}
        return {**where, "problem": self.problem.message, "fix": self.problem.fix, "row": self.raw}


def _as_text(row: dict[str, Any] | Problem) -> str:
    if isinstance(row, BadRow):
        return row.raw
    return "" if isinstance(row, Problem) else json.dumps(row, ensure_ascii=False, default=str)


def _capped(text: str) -> str:
    # Cut by bytes, as the cap is one on the file's size; a character cut in two is left out.
    return text.encode("utf-8")[:MAX_SHOWN_BYTES].decode("utf-8", "ignore")
