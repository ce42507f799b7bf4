"""Gradients do not depend on how a step is cut; order does not depend on anything but seed, epoch and ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from eterna.config import LoraSection, TrainingSection
from eterna.data import Encoded
from eterna.data.batches import FILLER
from eterna.errors import TrainingFailedError, UserError
from eterna.models import add_lora
from eterna.training import EternaTrainer, build_arguments
from eterna.training.order import EpochOrder


def examples(count: int = 8) -> list[Encoded]:
    """Unequal lengths, masked prompts of unequal share, loss weights of 1, 2 and 3 within each."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for number in range(count):
        length = 6 + 5 * number
        ids = torch.randint(3, 300, (length,), generator=generator).tolist()
        prompt = 2 + (3 * number) % (length - 2)
        weights = [0.0 if place < prompt else 1.0 + place % 3 for place in range(length)]
        found.append(Encoded(f"e{number}", tuple(ids), tuple(weights), 1))
    return found


def fresh_model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    lora = LoraSection(r=4, target_modules=["q_proj", "v_proj", "down_proj"], lora_dropout=0.0)
    model = add_lora(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), lora, seed=0)
    torch.manual_seed(5)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def step_gradients(
    folder: Path, tokenizer: Any, out: Path, batch: int, accumulation: int, kind: type[EternaTrainer] = EternaTrainer
) -> dict[str, torch.Tensor]:
    """Gradients of the first optimizer step."""
    from transformers import TrainerCallback

    caught: dict[str, torch.Tensor] = {}

    class Catch(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
            caught.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})

    training = TrainingSection(
        output_dir=str(out),
        max_steps=1,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        max_grad_norm=0.0,
        save_strategy="no",
    )
    arguments = build_arguments(training, "fp32", has_eval=False)
    data = examples()
    trainer = kind(fresh_model(folder), arguments, tokenizer, data, [1.0] * len(data), None, [Catch()])
    trainer.train()
    return caught


def worst_error(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    assert one
    return max(float((one[n] - other[n]).norm() / one[n].norm()) for n in one)


@pytest.mark.parametrize(("batch", "accumulation"), [(4, 2), (2, 4), (1, 8)])
def test_gradients_are_the_same_for_any_accumulation(
    tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path, batch: int, accumulation: int
) -> None:
    whole = step_gradients(tiny_model, tiny_tokenizer, tmp_path / "a", 8, 1)
    cut = step_gradients(tiny_model, tiny_tokenizer, tmp_path / "b", batch, accumulation)
    assert worst_error(whole, cut) <= 1e-5


def test_a_mean_per_micro_batch_would_be_noticed(tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    class Wrong(EternaTrainer):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None):  # type: ignore[no-untyped-def]
            own = inputs["loss_weights"][:, 1:].sum() * self.args.gradient_accumulation_steps
            return super().compute_loss(model, inputs, return_outputs, own)

    whole = step_gradients(tiny_model, tiny_tokenizer, tmp_path / "a", 8, 1)
    wrong = step_gradients(tiny_model, tiny_tokenizer, tmp_path / "b", 2, 4, Wrong)
    assert worst_error(whole, wrong) > 1e-2


def test_gradients_match_plain_transformers(tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    """The outside reference: plain transformers and torch's own loss, one unpadded example at a time."""
    ours = step_gradients(tiny_model, tiny_tokenizer, tmp_path / "a", 4, 2)
    model = fresh_model(tiny_model)
    data = examples()
    total = sum(sum(example.weights) for example in data)
    for example in data:
        logits = model(input_ids=torch.tensor([example.ids])).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(example.ids[1:]), reduction="none")
        ((losses * torch.tensor(example.weights[1:])).sum() / total).backward()
    reference = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert worst_error(reference, ours) <= 1e-5


def test_a_loss_that_is_not_a_number_stops_before_the_weights_change(
    tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    class Poisoned(EternaTrainer):
        def compute_loss(self, *arguments: Any, **settings: Any) -> Any:
            return super().compute_loss(*arguments, **settings) * float("nan")

    with pytest.raises(TrainingFailedError, match="step 1"):
        step_gradients(tiny_model, tiny_tokenizer, tmp_path, 8, 1, Poisoned)


def test_a_best_metric_without_a_figure_is_named(tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    training = TrainingSection(
        output_dir=str(tmp_path), max_steps=1, eval_strategy="steps", eval_steps=1, metric_for_best_model="relevancy"
    )
    arguments = build_arguments(training, "fp32", has_eval=True)
    data = examples(1)
    trainer = EternaTrainer(fresh_model(tiny_model), arguments, tiny_tokenizer, data, [1.0], lambda *_: {"loss": 1.0})
    with pytest.raises(UserError, match="metric_for_best_model is relevancy") as caught:
        trainer.train()
    assert "one of: loss" in str(caught.value)


def test_a_shorter_epoch_gives_as_many_batches() -> None:
    order = EpochOrder(["a", "b", "c"], [1.0, 1.0, 0.5], seed=7, share=1)
    epochs = []
    for epoch in range(2):
        order.start_epoch(epoch)
        epochs.append(sorted(order))
    assert epochs == [[0, 1, 2], [FILLER, 0, 1]]
    assert len(order) == 3


def test_each_epoch_has_its_own_order_and_the_same_examples() -> None:
    order = EpochOrder([f"e{n}" for n in range(20)], [1.0] * 20, seed=7)
    first = list(order)
    order.start_epoch(1)
    second = list(order)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    order.start_epoch(0)
    assert list(order) == first
