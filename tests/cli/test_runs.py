"""`eterna runs`, what the shell completes, and results as JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run

from eterna.config import config_from_values
from eterna.pipeline.past_runs import compare_runs, list_runs, show_run
from eterna.runs import RunFolder, Score


def write_run(path: Path, values: dict[str, Any], perplexity: float = 20.0, signature: str = "ppl|data:abc|v1") -> RunFolder:  # fmt: skip
    training = {**values["training"], "output_dir": str(path)}
    loaded = config_from_values({**values, "world": "eterna:biblioteca", "training": training})
    run = RunFolder(path)
    sources = [{"part": "eval", "name": "chat.jsonl", "examples": 12, "tokens": 300, "sha256": "abc"}]
    run.start(loaded, {}, {"sources": sources})
    run.add_metrics({"step": 1, "epoch": 0.5, "train/loss": 3.0})
    run.add_metrics({"step": 2, "epoch": 1.0, "train/loss": 2.5})
    run.write_status("finished", 2)
    figures = [("base", 40.0, ""), ("tuned", perplexity, ""), ("difference", perplexity - 40, ""), ("tuned", 7.0, "voice: a")]  # fmt: skip
    run.write_scores(
        Score("perplexity", system, value, None, None, 12, "lower", signature, part=part)
        for system, value, part in figures
    )
    return run


@pytest.fixture
def runs(run_values: dict[str, Any], tmp_path: Path) -> Path:
    """Two sound runs and three damaged ones."""
    folder = tmp_path / "runs"
    write_run(folder / "first", run_values)
    write_run(folder / "second", {**run_values, "lora": {"r": 2}}, 18.0)
    (folder / "no-run").mkdir()
    for name, file, text in (
        ("bad-yaml", "resolved.yaml", "x: ["),
        ("bad-json", "status.json", "[]"),
        ("bad-scores", "scores.json", '{"format": 1, "scores": [{"metric": "perplexity"}]}'),
        ("bad-metrics", "metrics.jsonl", '{"format": 1}\n{"step"'),
    ):
        shutil.copytree(folder / "first", folder / name)
        (folder / name / file).write_text(text, encoding="utf-8")
    return folder


def test_runs_are_listed_with_what_became_of_them(runs: Path) -> None:
    lines = {line.name: line for line in list_runs(runs)}
    assert set(lines) == {"first", "second", "bad-yaml", "bad-json", "bad-scores", "bad-metrics"}
    second = lines["second"]
    assert (second.state, second.step, second.method, second.base, second.tuned) == ("finished", 2, "LoRA r=2", 40.0, 18.0)  # fmt: skip
    for name in ("bad-yaml", "bad-json", "bad-scores", "bad-metrics"):
        assert lines[name].state == "damaged"
        assert name in str(lines[name].damaged)


def test_the_list_for_people_and_for_programs(eterna: Run, runs: Path) -> None:
    done = eterna("runs", "list")
    assert done.returncode == 0, done.stderr
    assert "40 -> 18" in done.stdout
    assert "bad-yaml is damaged: " in done.stdout
    assert "Traceback" not in done.stderr
    assert len(json.loads(eterna("runs", "list", "runs", "--json").stdout)) == 6
    assert eterna("runs", "list", "nowhere").returncode == 2


def test_a_run_is_shown_with_what_differs_from_the_defaults(eterna: Run, runs: Path) -> None:
    view = show_run(runs / "first")
    assert view.settings["lora.r"] == 4
    assert view.settings["training.seed"] == 3
    assert "training.weight_decay" not in view.settings
    assert "lora.bias" not in view.settings
    assert view.figures == {"train/loss": 2.5}
    assert view.files["status.json"] == (runs / "first" / "status.json").stat().st_size
    shown = eterna("runs", "show", "runs/first")
    assert shown.returncode == 0, shown.stderr
    assert "chat.jsonl" in shown.stdout
    assert "7.000" not in shown.stdout, "a slice of a score stands in the table"
    assert {score["part"] for score in json.loads(eterna("runs", "show", "runs/first", "--json").stdout)["scores"]} == {"", "voice: a"}  # fmt: skip


def test_a_damaged_or_missing_run_is_a_short_message(eterna: Run, runs: Path) -> None:
    for name in ("bad-yaml", "bad-json", "bad-scores", "bad-metrics", "no-run"):
        for words in (("show", f"runs/{name}"), ("compare", "runs/first", f"runs/{name}")):
            done = eterna("runs", *words)
            assert "Traceback" not in done.stderr
            if words[0] == "show" or name in ("bad-yaml", "bad-scores", "no-run"):
                assert done.returncode == 2, done.stdout


def test_two_runs_are_compared_where_their_scores_may_be(runs: Path, run_values: dict[str, Any]) -> None:
    found = compare_runs(runs / "first", runs / "second")
    assert found.settings["lora.r"] == (4, 2)
    assert "training.seed" not in found.settings
    assert {(one.system, one.difference, one.not_comparable) for one in found.scores} == {
        ("base", 0.0, None),
        ("tuned", -2.0, None),
        ("difference", -2.0, None),
    }
    write_run(runs / "other", run_values, 19.0, "ppl|data:def|v1")
    for one in compare_runs(runs / "first", runs / "other").scores:
        assert one.difference is None
        assert one.not_comparable == "data:abc against data:def"


def test_the_comparison_for_people_says_what_may_not_be_compared(eterna: Run, runs: Path, run_values: dict[str, Any]) -> None:  # fmt: skip
    write_run(runs / "other", run_values, 19.0, "ppl|data:def|v1")
    done = eterna("runs", "compare", "runs/first", "runs/other")
    assert done.returncode == 0, done.stderr
    assert "not comparable: data:abc against data:def" in done.stdout


def completed(eterna: Run, line: str) -> list[str]:
    done = eterna(_ETERNA_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(line.count(" ")))
    assert done.stderr == ""
    return done.stdout.split()


def test_the_shell_completes_run_folders(eterna: Run, runs: Path) -> None:
    (runs / "first").rename(runs.parent / "apart")
    assert completed(eterna, "eterna chat ") == ["runs/bad-json", "runs/bad-metrics", "runs/bad-scores", "runs/bad-yaml", "runs/second", "apart"]  # fmt: skip
    assert completed(eterna, "eterna report runs/s") == ["runs/second"]
    assert completed(eterna, "eterna runs compare runs/second ./a") == ["./apart"]


def test_the_shell_completes_who_and_where(eterna: Run, runs: Path) -> None:
    assert completed(eterna, "eterna chat runs/first --npc ") == [
        "apuntador",
        "archivera",
        "cartografa",
        "cocinera",
        "copista",
        "encuadernador",
        "farolero",
        "jueza",
        "lectora",
        "recadero",
    ]
    assert completed(eterna, "eterna chat runs/first --place pa") == ["patio_de_lamparas"]
    assert completed(eterna, "eterna chat runs/first --book be") == ["bestiario"]
    for lost in ("runs/bad-yaml", "runs/nowhere"):
        assert completed(eterna, f"eterna chat {lost} --npc ") == []


def test_train_puts_one_json_object_on_stdout(eterna: Run, run_values: dict[str, Any], tmp_path: Path) -> None:
    from eterna.config.writing import to_yaml

    training = {**run_values["training"], "max_steps": 1, "output_dir": "runs/tiny"}
    (tmp_path / "run.yaml").write_text(to_yaml({**run_values, "training": training}), encoding="utf-8")
    planned = eterna("train", "run.yaml", "--dry-run", "--json")
    assert json.loads(planned.stdout) == {"run": None, "state": "dry run", "scores": []}
    assert "dry run: nothing was loaded or written" in planned.stderr
    done = eterna("train", "run.yaml", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["run"], found["state"]) == ("runs/tiny", "finished")
    assert {score["system"] for score in found["scores"]} == {"base", "tuned", "difference"}
    assert "step 1/1" in done.stderr
    silent = eterna("train", "run.yaml", "--json")
    assert (silent.returncode, silent.stdout) == (2, "")
