"""The tuned model as a version in MLflow's registry: logged as code, never as a pickled object."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

SERVED_CODE = Path(__file__).with_name("served_model.py")
NEEDED = ("mlflow", "torch", "transformers", "peft", "jinja2")  # jinja2: transformers renders chat templates with it


def register_version(client: Any, run_id: str, name: str, alias: str, final: Path, tags: Mapping[str, str]) -> str:
    """Log final/ as a pyfunc model of the run and make it the newest version of `name`. Returns the version.

    By the client, because MLflow's `log_model` works on the tracking URI and the active run of the whole process.
    """
    import pandas as pd
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    with warnings.catch_warnings():
        # MLflow warns about a type hint of its own when this part of it is first imported.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType")
        from mlflow.models import Model
        from mlflow.pyfunc import save_model

    run = client.get_run(run_id)
    logged = client.create_logged_model(run.info.experiment_id, name="final", source_run_id=run_id, tags=dict(tags))
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        save_model(
            str(path),
            python_model=str(SERVED_CODE),
            artifacts={"model": str(final)},
            pip_requirements=[f"{needed}=={metadata.version(needed).partition('+')[0]}" for needed in NEEDED],
            signature=_signature(),
            input_example=pd.DataFrame({"messages": [[{"role": "user", "content": "Who are you?"}]]}),
            mlflow_model=Model(run_id=run_id, model_uuid=logged.model_id, model_id=logged.model_id),
        )
        client.log_model_artifacts(logged.model_id, str(path))
    if base := base_folder(final):
        client.log_model_artifacts(logged.model_id, str(base), artifact_path="artifacts/base")
    client.finalize_logged_model(logged.model_id, "READY")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name, f"models:/{logged.model_id}", run_id, tags=dict(tags), model_id=logged.model_id
    )
    client.set_registered_model_alias(name, alias, made.version)
    versions = json.dumps([{"name": name, "version": made.version}])
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": versions})  # how MLflow's pages link them
    return str(made.version)


def base_folder(final: Path) -> Path | None:
    """The base model of an adapter where it is a folder, which no other machine would find; None elsewhere."""
    adapter = final / "adapter_config.json"
    if not adapter.is_file():
        return None
    base = Path(json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"])
    return base if base.is_dir() else None


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, Object, Property, Schema

    message = Object([Property("role", DataType.string), Property("content", DataType.string)])
    asked = [
        ColSpec(Array(message), "messages", required=False),
        ColSpec(DataType.string, "prompt", required=False),
    ]
    return ModelSignature(Schema(asked), Schema([ColSpec(DataType.string)]))
