"""Evaluation during training: figures at each evaluation, the composite, the best checkpoint, early stopping."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from safetensors.torch import load_file

from eterna.config import config_from_values
from eterna.config.writing import to_yaml
from eterna.errors import ConfigError
from eterna.pipeline.measuring import Measurer
from eterna.pipeline.train import Trained, train
from eterna.runs import RunFolder

MEASURED = ["perplexity", "rouge", "coherence"]


@pytest.fixture
def values(run_values: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A run that gets worse with every step on data that is nothing like its own."""
    held_out = tmp_path / "held_out.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": f"zq {n}"}, {"role": "assistant", "content": "xkj vwq zzy " * 3}]}
        for n in range(4)
    ]
    held_out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    training = {**run_values["training"], "learning_rate": 0.02, "num_train_epochs": 4, "lr_scheduler_type": "constant"}
    evaluation = {
        "probes": 1,
        "samples": 4,
        "metrics": ["perplexity", "rouge", "coherence"],
        "during_training": {"metrics": MEASURED, "samples": 3},
        "best": {"perplexity": -1.0, "coherence": 0.001},
    }
    data = {**run_values["data"], "eval": [{"path": str(held_out)}]}
    return {**run_values, "data": data, "training": training, "evaluation": evaluation}


@pytest.fixture
def best_at_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """Perplexities as if step 4 were the best, whatever the weights say."""
    measured = Measurer.during

    def during(self: Measurer, model: Any, step: int) -> Any:
        figures, *rest = measured(self, model, step)
        written = {0: 100.0, 2: 80.0, 4: 60.0, 6: 90.0}.get(step, 95.0 + step)
        figures["perplexity"] = written
        if step == 0:
            self.first["perplexity"] = written
        return figures, *rest

    monkeypatch.setattr(Measurer, "during", during)


def run(values: dict[str, Any], resume: bool = False) -> Trained:
    trained = train(config_from_values(values), Console(quiet=True), resume)
    assert trained is not None
    return trained


def test_each_evaluation_measures_what_was_asked_for_and_writes_the_composite(values: dict[str, Any]) -> None:
    folder = run(values).run
    rows = [row for row in folder.metrics() if "eval/loss" in row]
    assert [row["step"] for row in rows] == [0, 2, 4, 6, 8, 10, 12]
    for row in rows:
        assert {"eval/perplexity", "eval/rouge", "eval/coherence", "eval/composite"} <= row.keys()
    assert rows[0]["eval/composite"] == 0
    record = folder.best()
    assert [row["step"] for row in record["evaluations"]] == [row["step"] for row in rows]
    for row, written in zip(record["evaluations"], rows, strict=True):
        assert sum(row["terms"].values()) == pytest.approx(written["eval/composite"])


@pytest.mark.usefixtures("best_at_four")
def test_final_holds_the_best_checkpoint_and_says_why(values: dict[str, Any]) -> None:
    folder = run(values).run
    record = folder.best()
    assert record["kept"] == 4
    assert record["why"].startswith("final/ holds checkpoint-4: composite +0.5")
    assert "next best is step 2" in record["why"]
    final = load_file(folder.final / "adapter_model.safetensors")
    chosen, last = (load_file(folder.path / f"checkpoint-{step}" / "adapter_model.safetensors") for step in (4, 12))
    assert all(tensor.equal(chosen[name]) for name, tensor in final.items())
    assert not all(tensor.equal(last[name]) for name, tensor in final.items())


def test_the_scores_are_those_of_the_checkpoint_that_was_kept(values: dict[str, Any]) -> None:
    folder = run(values).run
    kept = folder.best()["kept"]
    written = next(row["eval/perplexity"] for row in folder.metrics() if row["step"] == kept and "eval/loss" in row)
    score = next(s for s in folder.scores() if (s.metric, s.system, s.part) == ("perplexity", "tuned", ""))
    assert score.value == pytest.approx(written, rel=1e-4)


@pytest.mark.usefixtures("best_at_four")
def test_the_best_is_kept_where_old_checkpoints_are_thrown_away(values: dict[str, Any]) -> None:
    values["training"] |= {"save_steps": 100, "save_total_limit": 1}
    folder = run(values).run
    assert "checkpoint-4" in [path.name for path in folder.checkpoints()]


@pytest.mark.usefixtures("best_at_four")
def test_training_stops_early_when_nothing_gets_better(values: dict[str, Any]) -> None:
    values["evaluation"] |= {"early_stopping_patience": 2}
    folder = run(values).run
    record = folder.best()
    steps = [row["step"] for row in record["evaluations"]]
    assert steps == [0, 2, 4, 6, 8]
    assert folder.status() == {"format": 1, "state": "finished", "step": steps[-1], "message": None}


def test_a_run_cut_in_between_comes_to_the_same_decision(values: dict[str, Any], tmp_path: Path) -> None:
    """The signal is sent once step 2 is written down; nothing counts as better, so the run stops early at step 120."""
    values["evaluation"] |= {"early_stopping_patience": 2, "early_stopping_threshold": 1000.0}
    values["training"] |= {"num_train_epochs": 50, "save_steps": 40, "eval_steps": 40}
    whole = run(values).run
    assert whole.status()["step"] == 120
    cut = {**values, "training": {**values["training"], "output_dir": str(tmp_path / "cut")}}
    file = tmp_path / "run.yaml"
    file.write_text(to_yaml(cut), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "eterna", "train", str(file)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = RunFolder(tmp_path / "cut")
    until = time.monotonic() + 240
    written = folder.path / "metrics.jsonl"
    while not (written.is_file() and '"step": 2' in written.read_text(encoding="utf-8")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(240) == 143
    run(cut, resume=True)
    assert folder.best() == whole.best()
    one, other = (load_file(place.final / "adapter_model.safetensors") for place in (whole, folder))
    assert all(tensor.equal(other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"best": {"style": 1.0}}, r"evaluation.best weighs 'style', which is not measured"),
        ({"best": {"stile": 1.0}}, r"did you mean 'style'"),
        ({"best": {"perplexity": 1.0}}, "would pick the worst checkpoint"),
        ({"best": {"rouge": -1.0}}, "would pick the worst checkpoint"),
        ({"best": {}, "early_stopping_patience": 2}, "early_stopping_patience needs evaluation.best"),
    ],
)
def test_a_composite_that_cannot_work_is_refused(values: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from_values({**values, "evaluation": {**values["evaluation"], **change}})


def test_the_best_needs_checkpoints_and_held_out_data(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="save_strategy is no"):
        config_from_values({**values, "training": {**values["training"], "save_strategy": "no"}})
    with pytest.raises(ConfigError, match=r"data\.eval is empty"):
        config_from_values({**values, "data": {**values["data"], "eval": []}})
