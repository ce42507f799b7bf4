"""The finished model's folder: loaded by plain transformers and PEFT, with no trace of Eterna needed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eterna.files import read_text, write_json

MODEL_FILES = {".json", ".safetensors", ".model", ".txt", ".jinja"}
TRAINER_FILES = {"trainer_state.json", "tokens_seen.json"}


def save_finished(
    model: Any, tokenizer: Any, folder: Path, stop: list[int], max_new_tokens: int, writes: bool = True
) -> None:
    """Write model (or adapter) and tokenizer; the generation config stops where training stopped.

    Every process of a run calls it, because weights that are shared out (FSDP) are gathered from all of them; only
    one of them `writes`. The folder appears whole or not at all.
    """
    weights = gathered_weights(model)
    if not writes:
        return
    staged = folder.with_name(f".{folder.name}.staged")
    shutil.rmtree(staged, ignore_errors=True)
    model.generation_config = _generation(model.generation_config, tokenizer, stop, max_new_tokens)
    model.save_pretrained(staged, state_dict=weights)
    tokenizer.save_pretrained(staged)
    if (staged / "adapter_config.json").is_file():
        model.generation_config.save_pretrained(staged)
        (staged / "README.md").unlink(missing_ok=True)  # PEFT's empty card; the project writes its own
    shutil.rmtree(folder, ignore_errors=True)
    staged.replace(folder)


def gathered_weights(model: Any) -> dict[str, Any] | None:
    """The whole weights of a model whose tensors are shared out over processes, None for any other.

    A collective: all processes call it, and the first one gets the tensors, on the CPU; the others an empty dict.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    from torch.distributed.tensor import DTensor

    if not any(isinstance(parameter, DTensor) for parameter in model.parameters()):
        return None
    weights: dict[str, Any] = get_model_state_dict(
        model, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )
    return weights


def copy_finished(
    source: Path, folder: Path, tokenizer: Any, find_stop: Callable[[Any], list[int]], max_new_tokens: int
) -> None:
    """The model of a checkpoint or a finished folder as `save_finished` would have written it, weights untouched.

    find_stop: the stop tokens, given the generation config. What only a Trainer reads is left behind.
    """
    from transformers import GenerationConfig

    staged = folder.with_name(f".{folder.name}.staged")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    for path in source.iterdir():
        if path.suffix in MODEL_FILES and path.name not in TRAINER_FILES:
            shutil.copy2(path, staged)
    tokenizer.save_pretrained(staged)
    beside, adapter = source, staged / "adapter_config.json"
    if adapter.is_file():
        values = json.loads(read_text(adapter))
        base = values["base_model_name_or_path"] = _absolute(values.get("base_model_name_or_path"))
        write_json(adapter, values)
        if base and not (source / "generation_config.json").is_file():
            beside = Path(base)
    known = (beside / "generation_config.json").is_file()
    config = GenerationConfig.from_pretrained(beside) if known else GenerationConfig()
    longest = config.max_new_tokens or max_new_tokens
    _generation(config, tokenizer, find_stop(config), longest).save_pretrained(staged)
    shutil.rmtree(folder, ignore_errors=True)
    staged.replace(folder)


def make_base_absolute(model: Any) -> None:
    """Let an adapter name its base model's folder so that it is found from any other folder."""
    for config in getattr(model, "peft_config", {}).values():
        config.base_model_name_or_path = _absolute(config.base_model_name_or_path)


def _absolute(base: str | None) -> str | None:
    """None for a base that was built in memory and has no name."""
    return str(Path(base).resolve()) if base and Path(base).is_dir() else base


def set_stop_tokens(config: Any, tokenizer: Any, stop: list[int]) -> None:
    """Let a generation config stop where training stopped."""
    config.eos_token_id = stop[0] if len(stop) == 1 else stop
    config.pad_token_id = tokenizer.pad_token_id


def _generation(before: Any, tokenizer: Any, stop: list[int], max_new_tokens: int) -> Any:
    """A generation config for the replies that were scored: greedy, `max_new_tokens` at most, nothing else.

    Of the one before it keeps what a text begins with; not its penalties and beams, which the scores did not have.
    """
    from transformers import GenerationConfig

    config = GenerationConfig(do_sample=False, max_new_tokens=max_new_tokens, bos_token_id=before.bos_token_id)
    set_stop_tokens(config, tokenizer, stop)
    return config
