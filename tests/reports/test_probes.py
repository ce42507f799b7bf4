"""Which of a probe's replies stand as the tuned model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eterna.config import config_from_values
from eterna.reports import build_report
from eterna.reports.probes import probes_of
from eterna.runs import RunFolder


def samples() -> list[dict[str, Any]]:
    return [{"step": step, "probe": "p", "reply": f"reply of {step}", "messages": []} for step in (0, 2, 4, 6)]


def test_without_a_choice_the_last_reply_is_the_tuned_model_s() -> None:
    (probe,) = probes_of(samples())
    assert probe.tuned is not None
    assert (probe.tuned.step, [reply.step for reply in probe.others]) == (6, [2, 4])


def test_the_reply_of_the_kept_checkpoint_is_the_tuned_model_s(tmp_path: Path) -> None:
    (probe,) = probes_of(samples(), 2)
    assert probe.tuned is not None
    assert (probe.tuned.step, [reply.step for reply in probe.others]) == (2, [4, 6])
    run = RunFolder(tmp_path / "run")
    run.start(config_from_values({"model": {"name": "m/m"}, "data": {"train": [{"path": "a.jsonl"}]}}), {}, {})
    run.add_samples(samples())
    run.write_best({"weights": {"rouge": 1.0}, "evaluations": [], "kept": 2, "why": "because"})
    assert '<span class="fine">step 2</span>' in build_report(run)
