"""One training run of one system in this process; prints one line of JSON.

    python benchmarks/one_training.py SYSTEM SHAPE METHOD KIND COUNT

SYSTEM: eterna, eterna-plain, hf-fp32, hf-bf16, hf-bf16-grouped, hf-half-grouped, trl-packed, trl-padded; each of
these peers' with `-liger` after it on a GPU; llamafactory, llamafactory-grouped, litgpt, litgpt-half (see peers.py).
Counted are real tokens, never padding; the first SKIPPED optimizer steps are left out of the time. Peak memory is
VmHWM; on a GPU what torch had allocated there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib import import_module
from typing import Any

import peers
import torch
from workload import (
    ACCUMULATION,
    BATCH,
    LEARNING_RATE,
    LONGEST,
    LORA,
    SHAPES,
    WEIGHT_DECAY,
    Clock,
    examples,
    memory,
    model,
)

SKIPPED = 5
ON_GPU = torch.cuda.is_available()


def settings(**more: Any) -> dict[str, Any]:
    """What all systems share."""
    return {
        "output_dir": tempfile.mkdtemp(), "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": ACCUMULATION, "num_train_epochs": 1, "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY, "logging_steps": 5, "save_strategy": "no", "seed": 0, "use_cpu": not ON_GPU,
        **more,
    }  # fmt: skip


def eterna(shape: str, method: str, kind: str, count: int, clock: Clock, fast: bool) -> Any:
    """Eterna's own trainer, by the values of a run file with `precision: bf16`."""
    from eterna.config import LoraSection, TrainingSection
    from eterna.data import Encoded
    from eterna.models import add_lora
    from eterna.training import EternaTrainer, build_arguments, fast_path_of

    arguments = build_arguments(TrainingSection(**settings(report_to="none")), "bf16", has_eval=False)
    made = model(shape, "bfloat16" if method == "lora" else "float32")
    if method == "lora":
        made = add_lora(made, LoraSection(**LORA), seed=0)
    data = [
        Encoded(f"e{number}", tuple(ids), tuple([0.0] * prompt + [1.0] * (len(ids) - prompt)), 1)
        for number, (ids, prompt) in enumerate(examples(count, SHAPES[shape]["vocab_size"], kind))
    ]
    path = fast_path_of(made, arguments, on_gpu=True) if fast else None
    assert not isinstance(path, str), path

    class Counting(EternaTrainer):
        def get_batch_samples(self, *given: Any) -> Any:
            found = super().get_batch_samples(*given)
            clock.tokens = self.tokens_seen
            return found

    return Counting(made, arguments, Pad(), data, [1.0] * count, None, [clock.callback()], path)


class Pad:
    """As much of a tokenizer as a trainer asks for when nothing is saved."""

    pad_token_id = 0
    padding_side = "right"


def adapted(made: Any, method: str) -> Any:
    """With PEFT's LoRA where that is the method."""
    if method != "lora":
        return made
    from peft import LoraConfig, get_peft_model

    return get_peft_model(made, LoraConfig(**LORA, bias="none", task_type="CAUSAL_LM"))


def plain_trainer(shape: str, method: str, kind: str, count: int, clock: Clock, how: str) -> Any:
    """transformers' Trainer with a padding collator. how: parts of fp32, bf16, half (base in bf16), grouped."""
    from transformers import Trainer, TrainingArguments

    rows = [
        {"input_ids": ids, "labels": [-100] * prompt + ids[prompt:], "length": len(ids)}
        for ids, prompt in examples(count, SHAPES[shape]["vocab_size"], kind)
    ]

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        width = max(row["length"] for row in batch)
        clock.fetch(sum(row["length"] for row in batch))

        def padded(name: str, filler: int) -> torch.Tensor:
            return torch.tensor([row[name] + [filler] * (width - row["length"]) for row in batch])

        mask = [[1] * row["length"] + [0] * (width - row["length"]) for row in batch]
        return {
            "input_ids": padded("input_ids", 0), "labels": padded("labels", -100), "attention_mask": torch.tensor(mask)
        }  # fmt: skip

    half = "half" in how
    grouped = {"train_sampling_strategy": "group_by_length"} if "grouped" in how else {}
    arguments = TrainingArguments(
        **settings(report_to="none", disable_tqdm=True, remove_unused_columns=False),
        bf16="bf16" in how or half, use_liger_kernel="liger" in how, **grouped,
    )  # fmt: skip
    made = adapted(model(shape, "bfloat16" if half else "float32"), method)
    return Trainer(model=made, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[clock.callback()])


def trl(shape: str, method: str, kind: str, count: int, clock: Clock, how: str) -> Any:
    """TRL's SFTTrainer in bf16, packed or padded, on tokenized rows with their completion masks."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    words = {f"t{number}": number for number in range(SHAPES[shape]["vocab_size"])}
    core = Tokenizer(models.WordLevel(words, unk_token="t3"))  # noqa: S106
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="t0", bos_token="t1", eos_token="t2", unk_token="t3"  # noqa: S106
    )  # fmt: skip
    found = examples(count, SHAPES[shape]["vocab_size"], kind)
    rows = [{"input_ids": ids, "completion_mask": [0] * prompt + [1] * (len(ids) - prompt)} for ids, prompt in found]
    packed = "packed" in how
    size = {"per_device_train_batch_size": 1} if packed else {}
    arguments = SFTConfig(
        **settings(report_to="none", disable_tqdm=True) | size, bf16=True, packing=packed,
        max_length=1024, completion_only_loss=True, gradient_checkpointing=False, use_liger_kernel="liger" in how,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=adapted(model(shape, "bfloat16" if ON_GPU else "float32"), method), args=arguments,
        train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[clock.callback()],
    )  # fmt: skip
    collate = trainer.data_collator

    def counted(batch: list[dict[str, Any]]) -> Any:
        clock.fetch(sum(len(row["input_ids"]) for row in batch))
        return collate(batch)

    trainer.data_collator = counted
    return trainer


IMPORTED = {"llamafactory": "llamafactory.train.tuner", "litgpt": "litgpt"}
"""What a peer needs besides torch before it has done anything; the others need PEFT, and with it transformers."""


def train(system: str, shape: str, method: str, kind: str, count: int, clock: Clock) -> None:
    """Build what the system needs and train."""
    given = (shape, method, kind, count, clock)
    peer = system.split("-")[0]
    if peer in IMPORTED:
        getattr(peers, peer)(*given, system)
    elif peer == "eterna":
        eterna(*given, fast=system == "eterna").train()
    else:
        (trl if peer == "trl" else plain_trainer)(*given, system).train()


def main(system: str, shape: str, method: str, kind: str, count: int) -> None:
    """Train, print."""
    import_module(IMPORTED.get(system.split("-")[0], "peft"))
    bare, clock = memory(), Clock()
    train(system, shape, method, kind, count, clock)
    (begun, before, _), (ended, after, peak) = clock.steps[SKIPPED - 1], clock.steps[-1]
    print(json.dumps({
        "system": system, "shape": shape, "method": method, "kind": kind, "examples": count,
        "tokens": after - before, "seconds": ended - begun, "tokens_per_second": (after - before) / (ended - begun),
        "steps": len(clock.steps) - SKIPPED, "loss": sum(clock.losses) / max(1, len(clock.losses)),
        "peak": peak, "bare": bare, "longest": LONGEST[kind], "torch": torch.__version__,
    }))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:5], int(sys.argv[5]))
