"""The finished model's folder: loaded by plain transformers and PEFT, with no trace of Eterna needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any


def save_finished(model: Any, tokenizer: Any, folder: Path, stop: list[int], max_new_tokens: int) -> None:
    """Write model (or adapter) and tokenizer; the generation config stops where training stopped.

    The folder appears whole or not at all.
    """
    staged = folder.with_name(f".{folder.name}.staged")
    shutil.rmtree(staged, ignore_errors=True)
    _set_generation(model, tokenizer, stop, max_new_tokens)
    model.save_pretrained(staged)
    tokenizer.save_pretrained(staged)
    if (staged / "adapter_config.json").is_file():
        model.generation_config.save_pretrained(staged)
        (staged / "README.md").unlink(missing_ok=True)  # PEFT's empty card; the project writes its own
    shutil.rmtree(folder, ignore_errors=True)
    staged.replace(folder)


def _set_generation(model: Any, tokenizer: Any, stop: list[int], max_new_tokens: int) -> None:
    config = model.generation_config
    config.eos_token_id = stop[0] if len(stop) == 1 else stop
    config.pad_token_id = tokenizer.pad_token_id
    config.max_new_tokens = max_new_tokens
    config.do_sample, config.temperature, config.top_p, config.top_k = False, None, None, None
