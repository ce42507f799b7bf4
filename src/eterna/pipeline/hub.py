"""The finished model on the Hugging Face Hub, for `training.push_to_hub`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eterna.errors import ConfigError, UploadError
from eterna.text import first_line


def check_login(arguments: Any) -> None:
    """Find out before the first step whether an upload can work. Raises ConfigError."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    try:
        HfApi().whoami(token=arguments.hub_token)
    except (HTTPError, OSError) as error:
        raise ConfigError(
            f"training.push_to_hub is true, but the Hub lets nobody in from here: {first_line(error, 200)}",
            fix="log in with `hf auth login`, or remove the setting",
        ) from error


def upload(final: Path, trainer: Any) -> str:
    """Upload final/ to the repository the trainer has made. Returns its address. Raises UploadError."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    arguments = trainer.args
    try:
        done = HfApi().upload_folder(
            repo_id=trainer.hub_model_id,
            folder_path=final,
            token=arguments.hub_token,
            revision=arguments.hub_revision,
            commit_message=f"step {trainer.state.global_step}",
        )
    except (HTTPError, OSError) as error:
        raise UploadError(
            f"the run is finished, but {final} was not uploaded: {first_line(error, 200)}\n"
            f"    fix: hf upload {trainer.hub_model_id} {final}"
        ) from error
    return str(done.repo_url)
