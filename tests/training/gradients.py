"""Gradients of every optimizer step of an epoch; run by torchrun it saves those of two processes.

torchrun --nproc_per_node 2 -m tests.training.gradients MODEL FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from tests.training.test_trainer import examples, fresh_model

from eterna.config import TrainingSection
from eterna.training import EternaTrainer, build_arguments

Gradients = dict[str, torch.Tensor]
COUNTS = (8, 9, 11, 13)
"""Of 8 examples a step: one whole step; a last step of 1, 3 and 5 examples."""


class LocalMean(EternaTrainer):
    """Wrong on purpose: each process divides by its own weights and DDP averages the processes."""

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], torch.Tensor]:
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        own = sum(float(batch["loss_weights"][:, 1:].sum()) for batch in batches)
        return batches, torch.tensor(max(own, 1.0) * self.args.world_size, device=device)


def epoch_gradients(
    model: Path, out: Path, count: int, batch: int, kind: type[EternaTrainer] = EternaTrainer
) -> list[Gradients]:
    """Gradients of each step of one epoch of `count` examples; 2 micro-batches a step, weights that hardly move."""
    from transformers import AutoTokenizer, TrainerCallback

    caught: list[Gradients] = []

    class Catch(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
            caught.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})

    training = TrainingSection(
        output_dir=str(out),
        num_train_epochs=1,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=2,
        learning_rate=1e-12,
        max_grad_norm=0.0,
        save_strategy="no",
    )
    data = examples(count)
    tokenizer = AutoTokenizer.from_pretrained(model)
    arguments = build_arguments(training, "fp32", has_eval=False)
    kind(fresh_model(model), arguments, tokenizer, data, [1.0] * count, None, [Catch()]).train()
    return caught


if __name__ == "__main__":
    model, folder = Path(sys.argv[1]), Path(sys.argv[2])
    found = {
        (count, kind.__name__): epoch_gradients(model, folder, count, 2, kind)
        for count in COUNTS
        for kind in (EternaTrainer, LocalMean)
    }
    if torch.distributed.get_rank() == 0:
        torch.save(found, folder / "gradients.pt")
    torch.distributed.destroy_process_group()
