"""One run's folder. Training and evaluation write it through this class; everything else only reads it.

    run.yaml            the run file as the user wrote it
    resolved.yaml       every value in force
    environment.json    versions and machine
    data.json           sources with their content hashes and counts
    schedule.json       the planned learning rates: {"steps": [..], "learning_rates": [..]}
    metrics.jsonl       one row per log line: {"step": .., "epoch": .., "train/loss": ..}
    samples.jsonl       one row per probe and evaluation: {"step": .., "probe": .., "messages": [..], "reply": ..}
    scores.json         base against tuned
    replies.jsonl       one row per scored item: {"item": .., "messages": [..], "base": .., "tuned": .., "scores": ..}
    measured.jsonl      what the tuned model did item by item, so that it can be another run's control
    ratings.json        how far people agree in their ratings
    canon.json          rules of the canon that replies of the tuned model break; null where nothing was looked at
    best.json           the composite of each evaluation, and which checkpoint was kept
    skipped.jsonl       rows left out by data.skip_bad: {"file": .., "line": .., "problem": .., "row": ..}
    status.json         running | finished | interrupted | failed, and the last step
    report.html         all of it on one page
    checkpoint-N/       as transformers writes it
    final/              model and tokenizer, loaded by plain transformers and PEFT
    logs/               TensorBoard event files

Each JSON file holds `format: 1`; each JSONL file starts with {"format": 1}. A newer format is refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eterna.config import LoadedConfig, RunConfig, load_config
from eterna.config.writing import to_yaml
from eterna.errors import Place, Problem, RunError
from eterna.files import append_json_line, read_json_lines, read_text, write_json, write_whole
from eterna.runs.scores import Score

FORMAT = 1
CHECKPOINT = "checkpoint-"
MEASURED = "measured.jsonl"


class RunFolder:
    """Paths and records of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def final(self) -> Path:
        """The finished model's folder."""
        return self.path / "final"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.path / "report.html"

    @property
    def resolved(self) -> Path:
        """The resolved config; its presence is what makes a folder a run."""
        return self.path / "resolved.yaml"

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run. Raises RunError when the folder holds none."""
        run = cls(path)
        if not run.resolved.is_file():
            near = (
                sorted(item.parent.name for item in path.parent.glob("*/resolved.yaml")) if path.parent.is_dir() else []
            )
            fix = f"runs in {path.parent}: {', '.join(near[:8])}" if near else "train one: eterna train run.yaml"
            raise RunError(f"{path} holds no run", fix=fix)
        return run

    def is_used(self) -> bool:
        """Whether a run was started here."""
        return self.resolved.exists()

    def start(self, loaded: LoadedConfig, environment: dict[str, Any], data: dict[str, Any]) -> None:
        """Write what is known before the first step."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "environment.json", {"format": FORMAT, **environment})
        write_json(self.path / "data.json", {"format": FORMAT, **data})
        self.write_config(loaded)

    def write_config(self, loaded: LoadedConfig) -> None:
        """Replace run.yaml and resolved.yaml: a resumed run may evaluate and save by other settings."""
        write_whole(self.path / "run.yaml", loaded.text)
        write_whole(self.resolved, to_yaml(loaded.resolved()))

    def write_skipped(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write the rows that were left out, where there are any."""
        if lines := [json.dumps(row, ensure_ascii=False) for row in rows]:
            write_whole(self.path / "skipped.jsonl", "\n".join([json.dumps({"format": FORMAT}), *lines]) + "\n")

    def skipped(self) -> list[dict[str, Any]]:
        """Every row that was left out."""
        return self._read_rows("skipped.jsonl")

    def config(self) -> RunConfig:
        """The config in force, checked again."""
        return load_config(self.resolved, environment={}).config

    def checkpoints(self) -> list[Path]:
        """Complete checkpoints, oldest first, by step number."""
        found = [
            (int(item.name.removeprefix(CHECKPOINT)), item)
            for item in self.path.glob(f"{CHECKPOINT}*")
            if item.name.removeprefix(CHECKPOINT).isdecimal() and (item / "trainer_state.json").is_file()
        ]
        return [item for _, item in sorted(found)]

    def write_status(self, state: str, step: int, message: str | None = None) -> None:
        """`running`, `finished`, `interrupted` or `failed`, with the last step."""
        write_json(self.path / "status.json", {"format": FORMAT, "state": state, "step": step, "message": message})

    def status(self) -> dict[str, Any]:
        """The last status written."""
        return self._read_json("status.json")

    def write_schedule(self, points: Iterable[tuple[int, float]]) -> None:
        """The planned learning rate at some steps."""
        steps, rates = zip(*points, strict=True)
        write_json(self.path / "schedule.json", {"format": FORMAT, "steps": steps, "learning_rates": rates})

    def schedule(self) -> list[tuple[int, float]]:
        """(step, planned learning rate), or an empty list where it could not be planned."""
        record = self._read_json("schedule.json")
        return list(zip(record.get("steps", []), record.get("learning_rates", []), strict=True))

    def add_metrics(self, row: dict[str, Any]) -> None:
        """Append a row of figures; the wall-clock time is added."""
        self._append("metrics.jsonl", {**row, "time": round(time.time(), 3)})

    def metrics(self) -> list[dict[str, Any]]:
        """Every row of figures."""
        return self._read_rows("metrics.jsonl")

    def add_samples(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append probe replies."""
        for row in rows:
            self._append("samples.jsonl", row)

    def samples(self) -> list[dict[str, Any]]:
        """Every probe reply."""
        return self._read_rows("samples.jsonl")

    def drop_after(self, step: int) -> None:
        """Forget figures and samples past `step`, and a line that a kill cut short: a resumed run writes them again."""
        for name in ("metrics.jsonl", "samples.jsonl"):
            _drop_half_line(self.path / name)
            rows = self._read_rows(name)
            kept = [row for row in rows if row["step"] <= step]
            if len(kept) < len(rows):
                self._write_rows(name, kept)

    def write_scores(self, scores: Iterable[Score], control: str | None = None) -> None:
        """Replace the scores. control: which model they were held against beside the base."""
        rows = [score.as_row() for score in scores]
        write_json(self.path / "scores.json", {"format": FORMAT, "control": control, "scores": rows})

    def control(self) -> str | None:
        """Which model the scores were held against beside the base, in words; None without one."""
        found: str | None = self._read_json("scores.json").get("control")
        return found

    def scores(self) -> list[Score]:
        """The scores, or an empty list before the first evaluation."""
        try:
            return [Score(**row) for row in self._read_json("scores.json").get("scores", [])]
        except TypeError as error:
            place = Place(str(self.path / "scores.json"))
            raise RunError(f"not scores of this Eterna: {error}", place, f"eterna eval {self.path}") from None

    def write_replies(self, rows: Iterable[dict[str, Any]]) -> None:
        """Replace the scored replies."""
        self._write_rows("replies.jsonl", rows)

    def replies(self) -> list[dict[str, Any]]:
        """Every scored reply."""
        return self._read_rows("replies.jsonl")

    def write_measured(self, rows: Iterable[dict[str, Any]]) -> None:
        """Replace what the tuned model did item by item."""
        self._write_rows(MEASURED, rows)

    def write_canon(self, breaches: list[dict[str, Any]] | None, untested: str | None = None, redrawn: int = 0) -> None:
        """Replace the list of broken rules; an empty one says that the canon holds, None that it was not tested.

        redrawn: how many replies broke a rule and were drawn anew.
        """
        found = {"format": FORMAT, "breaches": breaches, "untested": untested, "redrawn": redrawn}
        write_json(self.path / "canon.json", found)

    def canon_untested(self) -> str | None:
        """Why the canon was not tested in an evaluation."""
        reason: str | None = self._read_json("canon.json").get("untested")
        return reason

    def redrawn(self) -> int:
        """How many replies broke a rule and were drawn anew."""
        return int(self._read_json("canon.json").get("redrawn", 0))

    def canon(self) -> list[dict[str, Any]] | None:
        """The broken rules; None before the first evaluation, and where it tested none."""
        record = self._read_json("canon.json")
        breaches: list[dict[str, Any]] | None = record.get("breaches")
        return breaches

    def write_ratings(self, agreements: list[dict[str, Any]]) -> None:
        """Replace the record of human ratings."""
        write_json(self.path / "ratings.json", {"format": FORMAT, "agreements": agreements})

    def ratings(self) -> list[dict[str, Any]]:
        """How far people agree, by criterion; empty where no ratings were given."""
        found: list[dict[str, Any]] = self._read_json("ratings.json").get("agreements", [])
        return found

    def write_best(self, record: dict[str, Any]) -> None:
        """Replace the record of the composite."""
        write_json(self.path / "best.json", {"format": FORMAT, **record})

    def best(self) -> dict[str, Any]:
        """The record of the composite; empty where none was asked for."""
        return self._read_json("best.json")

    def environment(self) -> dict[str, Any]:
        """The environment record."""
        return self._read_json("environment.json")

    def data(self) -> dict[str, Any]:
        """The data record."""
        return self._read_json("data.json")

    def _append(self, name: str, row: dict[str, Any]) -> None:
        path = self.path / name
        if not path.exists():
            append_json_line(path, {"format": FORMAT})
        append_json_line(path, row)

    def _write_rows(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        lines = [json.dumps(row, ensure_ascii=False) for row in [{"format": FORMAT}, *rows]]
        write_whole(self.path / name, "\n".join(lines) + "\n")

    def _read_rows(self, name: str) -> list[dict[str, Any]]:
        path = self.path / name
        if not path.is_file():
            return []
        rows = []
        for _, row in read_json_lines(path):
            if isinstance(row, Problem):
                raise RunError(row)
            rows.append(row)
        if rows:
            self._check_format(rows.pop(0), path)
        return rows

    def _read_json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            record: dict[str, Any] = json.loads(read_text(path))
            if not isinstance(record, dict):
                raise ValueError("expected an object")
        except ValueError as error:
            raise RunError(
                f"not valid JSON: {error}", Place(str(path)), "the file is damaged; run the step again"
            ) from None
        self._check_format(record, path)
        return record

    def _check_format(self, record: dict[str, Any], path: Path) -> None:
        if record.get("format") != FORMAT:
            raise RunError(
                f"{path} has format {record.get('format')}, this Eterna reads {FORMAT}",
                fix="use the Eterna that wrote it, or a newer one",
            )


def _drop_half_line(path: Path) -> None:
    """Remove a last line without a line end, and the file where that was all it held."""
    raw = path.read_bytes() if path.is_file() else b""
    whole = raw[: raw.rfind(b"\n") + 1]
    if raw and not whole:
        path.unlink()
    elif whole != raw:
        write_whole(path, whole)
