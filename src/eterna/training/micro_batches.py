"""The examples of one optimizer step as micro-batches without padding, each filled up to a number of tokens.

Legend: T tokens of a micro-batch, N tokens whose loss counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from eterna.fast import CPU_TOKENS, FastPath, fill, part_of, why_not

COUNTED = ("input_ids", "attention_mask")  # what Trainer counts tokens by


def fast_path_of(model: Any, arguments: Any, on_gpu: bool = False) -> FastPath | str:
    """The fast path for a model under these TrainingArguments, or why it has to take the plain one.

    on_gpu: on a GPU too, where it has not been measured yet.
    """
    hindrances = {
        "training.torch_compile": arguments.torch_compile,
        "training.neftune_noise_alpha": arguments.neftune_noise_alpha,
        "training.use_liger_kernel": arguments.use_liger_kernel,
        "FSDP": getattr(arguments, "fsdp", None),
        "DeepSpeed": arguments.deepspeed,
        "a GPU unless fast_path is on": arguments.device.type != "cpu" and not on_gpu,
    }
    if found := next((name for name, value in hindrances.items() if value), None):
        return f"it does not go with {found}"
    if reason := why_not(model):
        return reason
    asked = torch.bfloat16 if arguments.bf16 else torch.float16 if arguments.fp16 else None
    return FastPath(model, asked or model.dtype)


def token_budget(lengths: Sequence[int], rows: int, on_cpu: bool) -> int:
    """Tokens of a micro-batch: no more than `rows` examples of the greatest length would hold with their padding."""
    longest = max(lengths)
    return min(rows * longest, max(CPU_TOKENS, longest)) if on_cpu else rows * longest


def without_padding(batches: Sequence[dict[str, Tensor]], budget: int) -> list[dict[str, Any]]:
    """The micro-batches of one optimizer step, laid out anew: the last of them holds all `parts`, the others none.

    Examples without a token that counts add nothing to the loss and are left out; one part there is always.
    """
    rows = [
        (ids[:length], weights[:length])
        for batch in batches
        for ids, weights, length in zip(
            batch["input_ids"].cpu(), batch["loss_weights"].cpu(), batch["attention_mask"].sum(1).tolist(), strict=True
        )
        if weights[1:length].any()
    ]
    parts = [part_of([rows[place] for place in places]) for places in fill([len(ids) for ids, _ in rows], budget)]
    parts = parts or [part_of([(batches[0]["input_ids"][0, :1].cpu(), torch.zeros(1))])]
    kept = [{name: batch[name] for name in COUNTED} for batch in batches]
    return [{**batch, "parts": parts if number == len(kept) else []} for number, batch in enumerate(kept, start=1)]
