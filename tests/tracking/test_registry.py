"""The tuned model in MLflow's registry: logged as code, loaded back, served, and what happens when that fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import GenerationSection, MlflowSection, config_from_values
from eterna.data import Encoder
from eterna.models import generate, load_finished
from eterna.pipeline.train import train
from eterna.runs import RunFolder
from eterna.tracking.mlflow import MlflowTracker
from eterna.tracking.registry import SERVED_CODE

QUESTIONS = ["Who keeps the lamps?", "May I borrow the map?"]


def trained(values: dict[str, Any], uri: str, **mlflow: Any) -> tuple[RunFolder, str]:
    """A run whose model goes into the registry at `uri`, and what was said on the way."""
    values = {
        **values,
        "training": {**values["training"], "report_to": ["mlflow"]},
        "tracking": {"mlflow": {"tracking_uri": uri, "register_as": "archivera", **mlflow}},
    }
    said = StringIO()
    done = train(config_from_values(values), Console(file=said))
    assert done is not None
    return done.run, said.getvalue()


def learnt(values: dict[str, Any], base: Path) -> dict[str, Any]:
    """The same run, long enough to answer one question differently from another."""
    changed = {"num_train_epochs": 20, "learning_rate": 1e-2, "eval_steps": 50, "save_steps": 100}
    adapter = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
    training = {**values["training"], **changed}
    return {**values, "model": {"name": str(base)}, "lora": adapter, "training": training}


def answers_of(final: Path) -> list[str]:
    """What `eterna chat` would say."""
    from transformers import GenerationConfig

    model, tokenizer = load_finished(final)
    encoder, settings = Encoder(tokenizer), GenerationConfig.from_pretrained(final)
    section = GenerationSection(max_new_tokens=settings.max_new_tokens)
    prompts = [encoder.prompt([{"role": "user", "content": question}]) for question in QUESTIONS]
    return [generate(model, tokenizer, ids, section, encoder.stop_tokens(settings)).text for ids in prompts]


def test_the_registered_version_answers_as_final_does_without_the_folders_it_came_from(
    run_values: dict[str, Any], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    base = tmp_path / "final"  # a base model may well be the final/ of another run
    shutil.copytree(tiny_model, base)
    run, said = trained(learnt(run_values, base), uri)
    assert "models:/archivera@candidate is version 1" in said
    expected = answers_of(run.final)
    assert len(set(expected)) == 2
    version = MlflowClient(tracking_uri=uri).get_model_version_by_alias("archivera", "candidate")
    assert version.tags == {
        "run": "tiny",
        "base_model": str(base),
        "data_sha256": run.data()["sources"][0]["sha256"],
    }
    shutil.rmtree(base)
    shutil.rmtree(run.final)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    import mlflow
    import pandas as pd

    model = mlflow.pyfunc.load_model("models:/archivera@candidate")
    assert model.predict(pd.DataFrame({"prompt": QUESTIONS})) == expected
    conversations = [[{"role": "user", "content": question}] for question in QUESTIONS]
    assert model.predict(pd.DataFrame({"messages": conversations})) == expected


def registered(final: Path, folder: Path, **settings: Any) -> tuple[str, MlflowTracker]:
    """A whole model in a registry of its own, without a training."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    tracker = MlflowTracker("r", MlflowSection(tracking_uri=uri, register_as="tiny", **settings))
    tracker.register_model(final, {"run": "r"})
    return uri, tracker


def test_a_registered_model_is_code_and_weights_and_no_pickle(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registered(tiny_model, tmp_path)
    (card,) = tmp_path.rglob("MLmodel")
    files = [item for item in card.parent.rglob("*") if item.is_file()]
    assert {item.suffix for item in files} & {".pkl", ".pickle", ".bin", ".pt"} == set()
    assert (card.parent / "served_model.py").read_bytes() == SERVED_CODE.read_bytes()
    assert "import eterna" not in SERVED_CODE.read_text(encoding="utf-8")
    assert "from eterna" not in SERVED_CODE.read_text(encoding="utf-8")
    needed = (card.parent / "requirements.txt").read_text(encoding="utf-8").split()
    assert {line.partition("==")[0] for line in needed} == {"mlflow", "torch", "transformers", "peft", "jinja2"}
    assert not any("+" in line for line in needed)


def test_the_next_version_takes_the_alias(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, tracker = registered(tiny_model, tmp_path, alias="newest")
    said = tracker.register_model(tiny_model, {"run": "second"})
    assert said == "registered in mlflow: models:/tiny@newest is version 2"
    version = tracker.client.get_model_version_by_alias("tiny", "newest")
    assert (int(version.version), version.tags["run"]) == (2, "second")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"text": ["x"]}, "messages or prompt"),
        ({"prompt": ["x"], "messages": [[{"role": "user", "content": "x"}]]}, "messages or prompt"),
    ],
)
def test_a_served_model_refuses_what_it_cannot_answer(columns: dict[str, Any], expected: str, tiny_model: Path) -> None:
    import pandas as pd
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import PythonModelContext

    from eterna.tracking.served_model import ServedModel

    context = PythonModelContext({"model": str(tiny_model)}, None)
    model = ServedModel()
    model.load_context(context)
    with pytest.raises(MlflowException, match=expected):
        model.predict(context, pd.DataFrame(columns))


def test_a_registry_that_is_down_is_said_in_one_line_and_the_run_finishes(
    run_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run, said = trained(run_values, uri)
    assert said.count("mlflow did not register the model") == 1
    assert "not reachable" not in said
    assert run.status()["state"] == "finished"
    (found,) = MlflowClient(tracking_uri=uri).search_runs(["1"])
    assert found.info.status == "FINISHED"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(log: Path, path: str, *arguments: str, **environment: str) -> Iterator[str]:
    """`mlflow ARGUMENTS` on a free port, ready when PATH answers; it and its children are ended afterwards."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, "PATH": beside, **environment}, start_new_session=True
        )
    try:
        give_up = time.monotonic() + 300
        while not answers(address + path):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < give_up, log.read_text(encoding="utf-8")
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def test_a_real_server_takes_the_run_and_the_version(run_values: dict[str, Any], tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    store = ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--workers", "1"]
    log = tmp_path / "log"
    with serving(log, "/health", "server", *store, "--artifacts-destination", str(tmp_path / "kept")) as address:
        run, said = trained(run_values, address)
        assert "models:/archivera@candidate is version 1" in said
        client = MlflowClient(tracking_uri=address)
        version = client.get_model_version_by_alias("archivera", "candidate")
        found = client.get_run(version.run_id)
        assert found.info.status == "FINISHED"
        assert found.data.params["lora.r"] == "4"
        assert [metric.step for metric in client.get_metric_history(version.run_id, "eval/perplexity")] == [0, 2, 4, 6]
        kept = Path(client.download_artifacts(version.run_id, "resolved.yaml", str(tmp_path)))
        assert kept.read_bytes() == run.resolved.read_bytes()
        assert client.search_runs([found.info.experiment_id])[0].outputs.model_outputs
    assert len(list((tmp_path / "kept").rglob("adapter_model.safetensors"))) == 1
    assert "Traceback" not in log.read_text(encoding="utf-8")


def test_mlflow_serves_the_registered_model_over_http(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    final = tmp_path / "tuned" / "final"
    shutil.copytree(tiny_model, final)
    settings = json.loads((final / "generation_config.json").read_text(encoding="utf-8"))
    (final / "generation_config.json").write_text(json.dumps({**settings, "max_new_tokens": 5}), encoding="utf-8")
    uri, _ = registered(final, tmp_path)
    command = ["models", "serve", "-m", "models:/tiny@candidate", "--env-manager", "local"]
    log = tmp_path / "log"
    with serving(log, "/ping", *command, MLFLOW_TRACKING_URI=uri) as address:
        conversations = [{"messages": [{"role": "user", "content": question}]} for question in QUESTIONS]
        body = json.dumps({"dataframe_records": conversations}).encode()
        request = urllib.request.Request(  # noqa: S310
            f"{address}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as reply:  # noqa: S310
            assert json.load(reply) == {"predictions": answers_of(final)}
    assert "Traceback" not in log.read_text(encoding="utf-8")
