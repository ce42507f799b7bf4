"""`eterna.save`: a checkpoint, a run or a model in memory as one folder that plain transformers and PEFT load."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from eterna.config import GenerationSection
from eterna.data import Encoder
from eterna.errors import ModelError, RunError, UserError
from eterna.models import copy_finished, make_base_absolute, save_finished
from eterna.models.loading import readable_failure
from eterna.pipeline.train import Trained
from eterna.runs import RunFolder
from eterna.runs.folder import CHECKPOINT


def save(source: Any, folder: Path, tokenizer: Any = None) -> Path:
    """Save `source` into a folder that does not exist yet, or is empty.

    source: the path of a checkpoint, a model's folder or a run's (its final/); what `train` returned; a Trainer; any
    object with `model` and `tokenizer`; or a model, with its tokenizer given. Raises UserError.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty", fix="choose another folder, or remove it first")
    if isinstance(source, Trained):
        source = source.run.path
    if isinstance(source, str | PathLike):
        _save_folder(_model_folder(Path(source)), folder, tokenizer)
        return folder
    model, own = _live(source)
    tokenizer = tokenizer or own
    if not hasattr(model, "save_pretrained"):
        raise UserError(f"cannot save a {type(source).__name__}", fix="a path, a Trainer, or a model with tokenizer=")
    if tokenizer is None:
        raise UserError("a model is saved with its tokenizer", fix="eterna.save(model, folder, tokenizer=tokenizer)")
    make_base_absolute(model)
    stop = find_stop(tokenizer, model.generation_config)
    save_finished(model, tokenizer, folder, stop, model.generation_config.max_new_tokens or _longest(None))
    return folder


def _live(source: Any) -> tuple[Any, Any]:
    """(model, tokenizer) of an object in memory; a model itself has none."""
    if hasattr(source, "processing_class"):
        return source.accelerator.unwrap_model(source.model), source.processing_class
    if hasattr(source, "tokenizer"):
        return source.model, source.tokenizer
    return source, None


def find_stop(tokenizer: Any, config: Any) -> list[int]:
    """Ids that end a reply; a tokenizer without a chat template knows the end of text only."""
    if tokenizer.chat_template:
        return Encoder(tokenizer).stop_tokens(config)
    known = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    return list(dict.fromkeys(item for item in [tokenizer.eos_token_id, *known] if item is not None))


def _model_folder(path: Path) -> Path:
    """The folder that holds the model itself."""
    run = RunFolder(path)
    if run.is_used():
        if run.final.is_dir():
            return run.final
        raise RunError(f"the run in {path} is not finished", fix=_newest(path))
    if not any((path / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise ModelError(f"{path} holds no model", fix=_newest(path))
    return path


def _newest(path: Path) -> str:
    checkpoints = RunFolder(path).checkpoints()
    return f"name its newest checkpoint: {checkpoints[-1]}" if checkpoints else "name the folder with config.json"


def _save_folder(source: Path, folder: Path, tokenizer: Any) -> None:
    from transformers import AutoTokenizer

    if tokenizer is None:
        if not (source / "tokenizer_config.json").is_file():
            raise ModelError(f"{source} holds no tokenizer", fix="give it: eterna.save(source, folder, tokenizer=...)")
        with readable_failure(str(source)):
            tokenizer = AutoTokenizer.from_pretrained(source)
    run = RunFolder(source.parent) if source.name.startswith(CHECKPOINT) else None
    longest = _longest(run if run and run.is_used() else None)
    copy_finished(source, folder, tokenizer, lambda config: find_stop(tokenizer, config), longest)


def _longest(run: RunFolder | None) -> int:
    return (run.config().generation if run else GenerationSection()).max_new_tokens
