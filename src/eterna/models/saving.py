"""The finished model's folder: loaded by plain transformers and PEFT, with no trace of Eterna needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any


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
    _set_generation(model, tokenizer, stop, max_new_tokens)
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


def _set_generation(model: Any, tokenizer: Any, stop: list[int], max_new_tokens: int) -> None:
    config = model.generation_config
    config.eos_token_id = stop[0] if len(stop) == 1 else stop
    config.pad_token_id = tokenizer.pad_token_id
    config.max_new_tokens = max_new_tokens
    config.do_sample, config.temperature, config.top_p, config.top_k = False, None, None, None
