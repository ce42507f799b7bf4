"""What TensorBoard and MLflow really hold afterwards; a broken tracker never stops a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import MlflowSection, TrackingSection, config_from_values
from eterna.pipeline.records import flat
from eterna.pipeline.train import train
from eterna.tracking import Trackers, open_trackers
from eterna.tracking.mlflow import MlflowTracker, safe_path


def run(values: dict[str, Any], *trackers: str, **tracking: Any) -> Path:
    values = {**values, "training": {**values["training"], "report_to": list(trackers)}, "tracking": tracking}
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    return trained.run.path


def hparams_tab(folder: Path) -> Any:
    """The rows that TensorBoard's HParams tab shows for `folder`, from the tab's own backend."""
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    events = plugin_event_multiplexer.EventMultiplexer()
    events.AddRunsFromDirectory(str(folder))
    events.Reload()
    provider = data_provider.MultiplexerDataProvider(events, str(folder))
    context, asked = backend_context.Context(base_plugin.TBContext(data_provider=provider)), RequestContext()
    found = context.experiment_from_metadata(
        asked, "", True, context.hparams_metadata(asked, ""), context.hparams_from_data_provider(asked, "", limit=None)
    )
    columns = [api_pb2.ColParams(metric=metric.name, include_in_result=True) for metric in found.metric_infos]
    columns += [api_pb2.ColParams(hparam=hparam.name, include_in_result=True) for hparam in found.hparam_infos]
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        include_metrics=True,
        allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE],
        col_params=columns,
    )
    return list_session_groups.Handler(asked, context, "", request).run().session_groups


def test_tensorboard_holds_every_curve_sample_and_setting(run_values: dict[str, Any]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run(run_values, "tensorboard")
    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    tags = events.Tags()
    wanted = {"train/loss", "train/learning_rate", "train/grad_norm", "train/tokens_per_second"}
    assert wanted | {"eval/loss", "eval/perplexity", "eval/bits_per_byte"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Scalars("eval/perplexity")] == [0, 2, 4, 6]
    from eterna.runs import RunFolder

    record = RunFolder(folder)
    for name in (*wanted, "eval/loss", "eval/perplexity"):
        recorded = [row[name] for row in record.metrics() if name in row]
        assert [event.value for event in events.Scalars(name)] == pytest.approx(recorded, rel=1e-6)
    (tuned,) = [score for score in record.scores() if (score.metric, score.system) == ("perplexity", "tuned")]
    (logged,) = events.Scalars("score/perplexity/tuned")
    assert (logged.step, logged.value) == (6, pytest.approx(tuned.value, rel=1e-6))
    replies = [row["reply"] for row in record.samples() if row["probe"] == "c0"]
    texts = [event.tensor_proto.string_val[0].decode() for event in events.Tensors("samples/c0/text_summary")]
    assert [text.replace("\n    ", "\n")[4:] for text in texts] == replies
    assert (
        "| training.learning_rate | 0.001 |"
        in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    )


def test_the_hparams_tab_shows_settings_and_last_figures_in_the_same_folder(run_values: dict[str, Any]) -> None:
    from tensorboard.plugins.hparams import api_pb2

    folder = run(run_values, "tensorboard")
    (group,) = hparams_tab(folder / "logs")
    assert group.hparams["training.learning_rate"].number_value == 1e-3
    assert group.hparams["lora.r"].number_value == 4
    assert group.hparams["training.optim"].string_value == "adamw_torch_fused"
    (session,) = group.sessions
    assert session.status == api_pb2.STATUS_SUCCESS
    from eterna.runs import RunFolder

    shown = {metric.name.tag: metric.value for metric in session.metric_values}
    last = [row["eval/perplexity"] for row in RunFolder(folder).metrics() if "eval/perplexity" in row][-1]
    assert shown["eval/perplexity"] == pytest.approx(last, rel=1e-6)
    assert shown["score/perplexity/tuned"] == pytest.approx(last, rel=1e-6)
    assert all(item.is_file() for item in (folder / "logs").iterdir())


def test_a_failed_run_stays_open_in_the_hparams_tab(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams import api_pb2

    trackers = open_trackers(["tensorboard"], tmp_path, "r", TrackingSection(), lambda line: None)
    trackers.log_parameters({"a": True, "b": None, "c": ["x"]})
    trackers.log_metrics(1, {"eval/loss": 2.0})
    trackers.close("failed")
    (group,) = hparams_tab(tmp_path)
    assert {name: value.string_value for name, value in group.hparams.items()} == {
        "a": "True",
        "b": "None",
        "c": "['x']",
    }
    assert [session.status for session in group.sessions] == [api_pb2.STATUS_UNKNOWN]


def test_mlflow_on_sqlite_holds_parameters_metrics_config_hash_and_report(
    run_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)  # artifacts of a SQLite store go beside it
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    folder = run(run_values, "mlflow", mlflow={"tracking_uri": uri, "experiment": "biblioteca"})
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("biblioteca")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "tiny"
    assert found.data.params["training.learning_rate"] == "0.001"
    assert found.data.params["lora.r"] == "4"
    from eterna.runs import RunFolder

    source = RunFolder(folder).data()["sources"][0]
    assert found.data.params["data.0.sha256"] == source["sha256"]
    history = client.get_metric_history(found.info.run_id, "eval/perplexity")
    assert [metric.step for metric in history] == [0, 2, 4, 6]
    names = {item.path for item in client.list_artifacts(found.info.run_id)}
    assert names == {"resolved.yaml", "data.json", "environment.json", "report.html", "scores.json"} | {
        "samples",
        "samples.jsonl",
        "metrics.jsonl",
    }
    for score in RunFolder(folder).scores():
        if score.value is not None and not score.part:
            assert found.data.metrics[f"score/{score.metric}/{score.system}"] == score.value
    assert client.search_model_versions() == []


def test_a_tracker_that_fails_is_left_alone_and_said_once() -> None:
    said: list[str] = []

    class Broken:
        def log_metrics(self, step: int, metrics: Any) -> None:
            raise ConnectionError("no route")

    trackers = Trackers(said.append)
    trackers.open("broken", Broken)  # type: ignore[arg-type]
    for step in range(3):
        trackers.log_metrics(step, {"x": 1.0})
    assert len(said) == 1
    assert "broken is not reachable" in said[0]
    assert "no route" in said[0]


def test_a_server_gone_before_the_registering_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []

    class Gone:
        def register_model(self, final: Path, tags: Any) -> None:
            raise ConnectionError("no route\nat all")

        def close(self, state: str) -> None:
            raise ConnectionError("no route")

    trackers = Trackers(said.append)
    trackers.open("gone", Gone)  # type: ignore[arg-type]
    trackers.register_model(tmp_path, {})
    trackers.close("finished")
    assert said == [f"gone did not register the model (no route); it is in {tmp_path}"]


def test_a_tracker_that_cannot_start_does_not_stop_the_run(run_values: dict[str, Any], tmp_path: Path) -> None:
    # A folder is there, but not a database of MLflow's.
    (tmp_path / "taken.db").write_text("no database", encoding="utf-8")
    folder = run(run_values, "mlflow", mlflow={"tracking_uri": f"sqlite:///{tmp_path / 'taken.db'}"})
    assert (folder / "report.html").is_file()


def test_a_failed_run_is_recorded_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = MlflowTracker("r", MlflowSection(tracking_uri=uri))
    tracker.close("failed")
    assert MlflowClient(tracking_uri=uri).get_run(tracker.run_id).info.status == "FAILED"


def test_all_means_both_trackers(run_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    folder = run(run_values, "all", mlflow={"tracking_uri": uri})
    (found,) = MlflowClient(tracking_uri=uri).search_runs(["1"])
    assert found.info.status == "FINISHED"
    assert list((folder / "logs").iterdir())


def test_mlflow_goes_by_its_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from outside")
    first = MlflowTracker("r", MlflowSection(experiment="of the file"))
    first.close("interrupted")
    client = MlflowClient(tracking_uri=uri)
    assert {item.name for item in client.search_experiments()} == {"Default", "from outside"}
    monkeypatch.setenv("MLFLOW_RUN_ID", first.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    again = MlflowTracker("r", MlflowSection())
    assert again.run_id == first.run_id
    assert client.get_run(first.run_id).info.status == "RUNNING"
    assert client.get_experiment_by_name("another") is None


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_plain_folder_for_mlflow_is_said_with_the_way_out(form: str, tmp_path: Path) -> None:
    said: list[str] = []
    section = TrackingSection(mlflow=MlflowSection(tracking_uri=form.format(tmp_path / "mlruns")))
    assert not open_trackers(["mlflow"], tmp_path, "r", section, said.append).active
    (line,) = said
    assert "is a plain folder, MLflow wants a database such as sqlite:///mlflow.db" in line
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize("name", ["../../x", "/x", "a//b", "a/../b", "what? (1)", "a/b", "chat.jsonl:3", "ñ"])
def test_any_name_of_a_probe_becomes_an_artifact(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = MlflowTracker("r", MlflowSection(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}"))
    tracker.log_text(3, name, "reply")
    (found,) = (tmp_path / "mlruns").rglob("0000003.txt")
    assert found.read_text(encoding="utf-8") == "reply"
    assert "samples" in found.parts


def test_two_odd_names_stay_apart() -> None:
    assert safe_path("a?") != safe_path("a!")


def test_patterns_of_layers_are_one_parameter() -> None:
    values = {"lora": {"r": 4, "rank_pattern": {"^model.*(q|v)_proj": 8}}}
    assert flat(values) == {"lora.r": 4, "lora.rank_pattern": {"^model.*(q|v)_proj": 8}}


def test_unknown_trackers_are_left_to_transformers(tmp_path: Path) -> None:
    assert not open_trackers(["wandb"], tmp_path, "r", TrackingSection(), lambda line: None).active
