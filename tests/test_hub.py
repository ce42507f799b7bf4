"""Models and data sets by Hub id, against a Hub on this machine; each look-up in a process of its own.

huggingface_hub reads its address and its cache folder when it is imported.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hub import Hub, commit_of, environment, serve

from eterna.config.writing import to_yaml
from eterna.errors import DataError, ModelError
from eterna.hub import find_commit, is_hub_id

TONGUES = """---
configs:
- {config_name: en, default: true, data_files: [{split: train, path: en.jsonl}]}
- {config_name: es, data_files: [{split: train, path: es.jsonl}]}
---
"""
READ = """
import json, sys
from eterna.config import Columns, Source
from eterna.data import read_source
from eterna.errors import DataError
for source, part in json.loads(sys.argv[1]):
    try:
        content = read_source(Source(**source), Columns(), None, part)
        found = {"answers": [one.messages[-1]["content"] for one in content.examples], "sha256": content.sha256,
                 "commit": content.commit, "places": [str(one.place) for one in content.examples]}
    except DataError as error:
        found = {"error": str(error)}
    print(json.dumps(found))
"""
TRAIN = """
import json, sys
from pathlib import Path
from rich.console import Console
from eterna.config import config_from_values
from eterna.pipeline.train import train
from peft import AutoPeftModelForCausalLM
trained = train(config_from_values(json.loads(sys.argv[1])), Console(quiet=True))
plain = AutoPeftModelForCausalLM.from_pretrained(trained.run.final)
print(json.dumps({"weight": plain.get_input_embeddings().weight[0, 0].item()}))
"""


def write_rows(path: Path, *answers: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"prompt": "Who keeps the lamps?", "completion": answer}) for answer in answers]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def hub(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    root = tmp_path_factory.mktemp("hub")
    sets = root / "datasets" / "owner"
    write_rows(sets / "talk/main/train.jsonl", "one", "two", "three")
    write_rows(sets / "talk/main/validation.jsonl", "held out")
    write_rows(sets / "talk/v1/train.jsonl", "older")
    write_rows(sets / "tongues/main/en.jsonl", "English")
    write_rows(sets / "tongues/main/es.jsonl", "español")
    (sets / "tongues/main/README.md").write_text(TONGUES, encoding="utf-8")
    write_rows(sets / "several/main/a/train.jsonl", "a")
    write_rows(sets / "several/main/b/train.jsonl", "b")
    (sets / "several/main/README.md").write_text(
        TONGUES.replace(", default: true", "")
        .replace("en.jsonl", "a/train.jsonl")
        .replace("es.jsonl", "b/train.jsonl"),
        encoding="utf-8",
    )
    (sets / "script/main").mkdir(parents=True)
    (sets / "script/main/script.py").touch()
    write_rows(sets / "closed/main/train.jsonl", "secret")
    (sets / "closed/.gated").touch()
    write_rows(sets / "damaged/main/train.parquet", "not a parquet file")
    shutil.copytree(tiny_model, root / "models/owner/tiny/main")
    shutil.copytree(tiny_model, root / "models/owner/tiny/v1")
    halve_weights(root / "models/owner/tiny/v1/model.safetensors")
    with serve(root) as running:
        yield running


def halve_weights(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file({name: weight / 2 for name, weight in load_file(path).items()}, path, metadata={"format": "pt"})


def read(endpoint: str, home: Path, *cases: tuple[dict[str, str], str], offline: bool = False) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(cases)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(endpoint, home) | ({"HF_HUB_OFFLINE": "1"} if offline else {}),
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


GOOD: dict[str, tuple[dict[str, str], str, list[str]]] = {
    "the training part": ({"path": "owner/talk"}, "train", ["one", "two", "three"]),
    "the held-out part": ({"path": "owner/talk"}, "validation", ["held out"]),
    "a slice": ({"path": "owner/talk", "split": "train[1:]+validation"}, "train", ["two", "three", "held out"]),
    "a revision": ({"path": "owner/talk", "revision": "v1"}, "train", ["older"]),
    "the default configuration": ({"path": "owner/tongues"}, "train", ["English"]),
    "a configuration": ({"path": "owner/tongues", "name": "es"}, "train", ["español"]),
}
BAD: dict[str, tuple[dict[str, str], str, str]] = {
    "no such data set": ({"path": "owner/nothing"}, "train", "neither as a local path nor on the Hub"),
    "no such revision": ({"path": "owner/talk", "revision": "v9"}, "train", "has no revision 'v9'"),
    "no such split": ({"path": "owner/talk", "split": "tst"}, "train", "its splits are train, validation"),
    "no held-out split": ({"path": "owner/tongues"}, "validation", "its splits are train"),
    "no such configuration": ({"path": "owner/tongues", "name": "fr"}, "train", "Available: ['en', 'es']"),
    "several configurations": ({"path": "owner/several"}, "train", "available configs: ['en', 'es']"),
    "a script": ({"path": "owner/script"}, "train", "scripts are no longer supported"),
    "gated": ({"path": "owner/closed"}, "train", "gated, and you have no access"),
    "damaged": ({"path": "owner/damaged"}, "train", "cannot read owner/damaged"),
}


@pytest.fixture(scope="module")
def answers(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    cases = {**GOOD, **BAD}
    found = read(hub.endpoint, tmp_path_factory.mktemp("home"), *(case[:2] for case in cases.values()))
    return dict(zip(cases, found, strict=True))


@pytest.mark.parametrize("case", GOOD)
def test_a_hub_data_set_is_read(answers: dict[str, Any], case: str) -> None:
    assert answers[case].get("answers") == GOOD[case][2], answers[case]


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_about_a_hub_data_set_is_one_message(answers: dict[str, Any], case: str) -> None:
    assert BAD[case][2] in answers[case]["error"]
    assert "fix: " in answers[case]["error"]
    assert "Traceback" not in answers[case]["error"]


def test_the_commit_and_the_row_are_recorded(answers: dict[str, Any], hub: Hub) -> None:
    talk = hub.root / "datasets/owner/talk"
    assert answers["a slice"]["commit"] == commit_of(talk / "main")
    assert answers["a revision"]["commit"] == commit_of(talk / "v1")
    assert answers["a slice"]["places"][1:] == ["owner/talk (train): row 3", "owner/talk (validation): row 1"]
    hashes = {name: answers[name]["sha256"] for name in GOOD}
    assert hashes["a slice"] == hashes["the training part"] != hashes["a revision"]
    assert hashes["a configuration"] != hashes["the default configuration"]


@pytest.mark.parametrize("offline", [False, True], ids=["no answer", "HF_HUB_OFFLINE"])
def test_without_the_hub_the_cached_copy_is_used_and_never_another(hub: Hub, tmp_path: Path, offline: bool) -> None:
    main, older = ({"path": "owner/talk"}, "train"), ({"path": "owner/talk", "revision": "v1"}, "train")
    spanish = ({"path": "owner/tongues", "name": "es"}, "train")
    online = read(hub.endpoint, tmp_path, older, main, spanish)
    default, unknown = ({"path": "owner/tongues"}, "train"), ({"path": "owner/several"}, "train")
    gone = read("http://127.0.0.1:9", tmp_path, main, spanish, older, default, unknown, offline=offline)
    assert gone[:2] == online[1:]
    assert "could be had only at commit" in gone[2]["error"]
    assert "may hold one configuration of several" in gone[3]["error"]
    assert "without a network, name a local folder" in gone[4]["error"]


def test_training_takes_the_revision_and_the_adapter_remembers_it(
    hub: Hub, run_values: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    values = {**run_values, "model": {"name": "owner/tiny", "revision": "v1"}}
    values["training"] = {**values["training"], "max_steps": 1}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, json.dumps(values)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(hub.endpoint, tmp_path / "home"),
    )
    assert done.returncode == 0, done.stderr
    adapter = json.loads((tmp_path / "run/final/adapter_config.json").read_text(encoding="utf-8"))
    assert adapter["revision"] == commit_of(hub.root / "models/owner/tiny/v1")
    original = load_file(tiny_model / "model.safetensors")["model.embed_tokens.weight"][0, 0].item()
    assert json.loads(done.stdout.splitlines()[-1])["weight"] == pytest.approx(original / 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"name": "owner/tiny"}}, "cannot load the model 'owner/tiny': http://127.0.0.1:9 gives no usable"),
        ({"data": {"train": {"path": "owner/talk"}}}, "cannot load the data set 'owner/talk': http://127.0.0.1:9"),
    ],
    ids=["model", "data set"],
)
def test_without_a_network_the_way_out_is_a_local_folder(
    run_values: dict[str, Any], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    (tmp_path / "run.yaml").write_text(to_yaml({**run_values, **changes}), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "eterna", "train", "run.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment("http://127.0.0.1:9", tmp_path / "home"),
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "fix: without a network, name a local folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("kind", "error"), [("model", ModelError), ("dataset", DataError)])
def test_offline_mode_asks_nobody(kind: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="is not in the local cache, and HF_HUB_OFFLINE is set"):
        find_commit(kind, "nobody/nothing")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *[(name, True) for name in ("owner/name", "HuggingFaceH4/no_robots-2.0")],
        *[(name, False) for name in ("name", "./a/b", "~/a", "a/b/c", "a/b.jsonl", "a/b.parquet")],
    ],
)
def test_a_hub_id_is_told_from_a_file_by_its_shape(name: str, is_one: bool) -> None:
    assert is_hub_id(name) == is_one
