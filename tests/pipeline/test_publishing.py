"""`training.push_to_hub`: the finished folder with its card, once, and nothing that the Hub says is a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import HTTPError
from rich.console import Console

from eterna.config import config_from_values
from eterna.errors import ConfigError, UploadError
from eterna.pipeline.train import Trained, train
from eterna.runs import RunFolder


def run(values: dict[str, Any], **training: Any) -> Trained:
    changed = {**values, "training": {**values["training"], "max_steps": 2, "push_to_hub": True, **training}}
    trained = train(config_from_values(changed), Console(quiet=True))
    assert trained is not None
    return trained


class Hub:
    """The Hub's client, as far as a run calls it."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[str] = []
        self.failure = failure

    def whoami(self, **settings: Any) -> dict[str, str]:
        return {"name": "someone"}

    def create_repo(self, name: str, **settings: Any) -> Any:
        self.calls.append(("create", {"name": name}))
        return type("Repo", (), {"repo_id": name})()

    def upload_folder(self, **settings: Any) -> Any:
        self.calls.append(("upload", settings))
        self.sent = sorted(item.name for item in settings["folder_path"].iterdir())
        if self.failure:
            raise self.failure
        return type("Done", (), {"repo_url": f"https://hub/{settings['repo_id']}"})()


def use(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    import huggingface_hub
    import transformers.trainer

    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr(transformers.trainer, "hf_api", lambda: hub)
    return hub


def test_the_final_model_is_uploaded_with_its_card_and_nothing_else(
    run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = use(Hub(), monkeypatch)
    trained = run(run_values, hub_model_id="someone/voice", hub_token="hf_x")  # noqa: S106
    assert [name for name, _ in hub.calls] == ["create", "upload"]
    sent = hub.calls[1][1]
    assert (sent["repo_id"], sent["folder_path"], sent["token"]) == ("someone/voice", trained.run.final, "hf_x")
    assert {"README.md", "adapter_model.safetensors", "generation_config.json"} <= set(hub.sent)
    kept = "".join(
        path.read_text() for path in trained.run.path.iterdir() if path.suffix in (".yaml", ".json", ".jsonl")
    )
    assert "hf_x" not in kept


def test_an_upload_that_fails_leaves_a_finished_run_and_says_how_to_repeat_it(
    run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Hub(HTTPError("no route")), monkeypatch)
    with pytest.raises(UploadError, match=r"was not uploaded: no route\n    fix: hf upload someone/voice ") as caught:
        run(run_values, hub_model_id="someone/voice")
    assert caught.value.exit_code == 1
    folder = RunFolder(Path(run_values["training"]["output_dir"]))
    assert folder.status()["state"] == "finished"
    assert folder.report.is_file()


@pytest.mark.parametrize(
    ("failure", "said"),
    [(HTTPError("all attempts failed"), "all attempts failed"), (OSError(), "OSError")],
    ids=["unreachable", "without a word"],
)
def test_a_hub_out_of_reach_ends_before_anything_is_written(
    run_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch, failure: Exception, said: str
) -> None:
    hub = use(Hub(), monkeypatch)

    def whoami(**settings: Any) -> None:
        raise failure

    hub.whoami = whoami  # type: ignore[method-assign, assignment]
    with pytest.raises(ConfigError, match=f"the Hub lets nobody in from here: {said}"):
        run(run_values)
    assert not RunFolder(Path(run_values["training"]["output_dir"])).is_used()


def test_without_a_login_nothing_is_written(run_values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="the Hub lets nobody in"):
        run(run_values)
    assert not RunFolder(Path(run_values["training"]["output_dir"])).is_used()


UPLOADS = """
import json, os, sys
import huggingface_hub, transformers.trainer
from rich.console import Console
from tests.pipeline.test_publishing import Hub
from eterna.config import config_from_values
from eterna.pipeline.train import train
hub = Hub()
huggingface_hub.HfApi = transformers.trainer.hf_api = lambda: hub
train(config_from_values(json.loads(sys.argv[1])), Console(quiet=True))
with open(sys.argv[2] + os.environ["RANK"], "w") as file:
    json.dump([name for name, _ in hub.calls], file)
"""


def test_of_two_processes_one_uploads(run_values: dict[str, Any], tmp_path: Path, launch: Any) -> None:
    (tmp_path / "uploads.py").write_text(UPLOADS, encoding="utf-8")
    training = {**run_values["training"], "max_steps": 1, "push_to_hub": True, "hub_model_id": "someone/voice"}
    values = {**run_values, "training": training, "evaluation": {"metrics": ["perplexity"], "probes": 0}}
    here = str(Path(__file__).parents[2])
    done = launch(
        str(tmp_path / "uploads.py"), json.dumps(values), str(tmp_path / "calls"), PYTHONPATH=here_first(here)
    )
    assert done.returncode == 0, done.stderr
    calls = [json.loads((tmp_path / f"calls{rank}").read_text(encoding="utf-8")) for rank in (0, 1)]
    assert calls == [["create", "upload"], []]


def here_first(folder: str) -> str:
    """The search path with the folder that holds `tests` on it."""
    import os

    return os.pathsep.join(filter(None, [folder, str(Path(folder) / "src"), os.environ.get("PYTHONPATH", "")]))
