"""transformers' Trainer with Eterna's loss, order and evaluation; everything else is its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from eterna.data import Encoded
from eterna.data.batches import Collator, TokenizedExamples
from eterna.errors import TrainingFailedError, UserError
from eterna.fast import FastPath
from eterna.training.lengths import BalancedBatches, group_by_length
from eterna.training.loss import weight_and_token_sum, weighted_loss_sum
from eterna.training.micro_batches import token_budget, without_padding
from eterna.training.muon import build_muon
from eterna.training.order import EpochOrder

Evaluate = Callable[[Any, int], dict[str, float]]


class EternaTrainer(Trainer):  # type: ignore[misc]
    """Trains on encoded examples.

    Loss: the weighted sum over labelled tokens divided by the weights of the whole optimizer step, over all
    micro-batches and processes. Order: a pure function of seed, epoch and example id. Evaluation: the callable given.
    """

    def __init__(
        self,
        model: Any,
        arguments: TrainingArguments,
        tokenizer: Any,
        examples: Sequence[Encoded],
        weights: Sequence[float],
        evaluate: Evaluate | None,
        callbacks: Sequence[TrainerCallback] = (),
        fast: FastPath | None = None,
    ) -> None:
        seed = arguments.seed if arguments.data_seed is None else arguments.data_seed
        self.lengths = [len(example.ids) for example in examples]
        share, drops = arguments.train_batch_size * arguments.world_size, arguments.dataloader_drop_last
        step = share * arguments.gradient_accumulation_steps
        arrange: dict[str, Callable[[list[int]], list[int]]] = {
            "sequential": sorted,
            "group_by_length": partial(group_by_length, lengths=self.lengths, batch=step),
        }
        chosen = arrange.get(arguments.train_sampling_strategy, list)
        self.order = EpochOrder([example.id for example in examples], weights, seed, share, drops, chosen)
        self.fast = fast
        self.tokens_seen = 0
        self._tokens_before = 0
        self._evaluate_with = evaluate
        self._aside = 0.0
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=TokenizedExamples(examples),
            # Trainer wants a data set before it agrees to evaluate; `evaluate` below never reads it.
            eval_dataset=TokenizedExamples([]) if evaluate else None,
            data_collator=Collator(tokenizer.pad_token_id),
            processing_class=tokenizer,
            callbacks=[_EpochStart(self.order), *callbacks],
            # Tells every version of Trainer that the loss is already normalised over the accumulated batches.
            compute_loss_func=weighted_loss_sum,
        )

        # Prints raw dictionaries; Eterna shows its own progress.
        self.remove_callback(PrinterCallback)

    def create_optimizer(self, *given: Any) -> torch.optim.Optimizer:
        """transformers' own, or Muon, which it does not have."""
        if getattr(self.args, "muon", False) and self.optimizer is None:
            self.optimizer: Any = build_muon(self.model, self.args, self.get_decay_parameter_names(self.model))
        return super().create_optimizer(*given)

    def training_clock(self) -> float:
        """Seconds on a clock that stands still during evaluations."""
        return time.monotonic() - self._aside

    def train(self, *arguments: Any, **settings: Any) -> Any:
        """As transformers' Trainer."""
        self._tokens_before = self.tokens_seen
        return super().train(*arguments, **settings)

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochOrder | BalancedBatches:
        self.tokens_seen = self._tokens_before  # `auto_find_batch_size` begins again with a smaller batch
        if self.args.train_sampling_strategy != "batch_rebalance":
            return self.order
        accumulation, processes = self.args.gradient_accumulation_steps, self.args.world_size
        step = self._train_batch_size * accumulation * processes
        rank, drops = self.args.process_index, self.args.dataloader_drop_last
        return BalancedBatches(self.order, self.lengths, step, processes, accumulation, rank, drops)

    def bare_model(self) -> Any:
        """The model out of all that training put around it: processes, compilation, mixed precision.

        What it computes from then on is what it computes when it is loaded from its folder.
        """
        model = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        # accelerate's own way to take autocast off (keep_fp32_wrapper=False) strips the model's own decorators as well.
        if (forward := model.__dict__.pop("_original_forward", None)) is not None:
            model.forward = forward
        return model

    def best_step_loaded(self) -> int | None:
        """The step whose checkpoint `load_best_model_at_end` has put back into the model, if it has."""
        loaded = self.args.load_best_model_at_end and self.state.best_model_checkpoint
        step: int | None = self.state.best_global_step if loaded else None
        return step

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: Any
    ) -> tuple[list[Any], torch.Tensor]:
        """The micro-batches of one optimizer step, and the sum of their loss weights over all processes."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        sums = weight_and_token_sum(batches).to(device, torch.float32 if device.type == "mps" else torch.float64)
        if self.args.world_size > 1:
            sums = self.accelerator.reduce(sums, reduction="sum")
        self.tokens_seen += int(sums[1])
        if self.fast:
            batches = without_padding(batches, self._token_budget(device))
        return batches, sums[0].to(torch.float32)

    def _token_budget(self, device: torch.device) -> int:
        return token_budget(self.lengths, self._train_batch_size, device.type == "cpu")

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Weighted loss of one micro-batch as its share of the step; DDP's averaging over processes is undone."""
        inputs, smoothing = dict(inputs), self.args.label_smoothing_factor
        if "segments" in inputs:
            outputs = model(**inputs, smoothing=smoothing)
            total = outputs.loss
        else:
            labels, weights = inputs.pop("labels"), inputs.pop("loss_weights")
            outputs = model(**inputs)
            total = weighted_loss_sum(outputs.logits, labels, weights, smoothing)
        loss = total * self.args.world_size / num_items_in_batch.clamp(min=1e-12)
        return (loss, outputs) if return_outputs else loss

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """One micro-batch. Raises TrainingFailedError at a loss that is no number, before a weight is touched."""
        parts = inputs.pop("parts", None)
        loss: torch.Tensor
        if parts is None:
            loss = super().training_step(model, inputs, num_items_in_batch)
        else:
            loss = self._without_padding(model, parts, num_items_in_batch)
        if not torch.isfinite(loss):
            raise TrainingFailedError(
                f"the loss became {loss.item()} in step {self.state.global_step + 1}; the weights are those of step"
                f" {self.state.global_step}. Lower training.learning_rate, or look at the data of this step."
            )
        return loss

    def _without_padding(self, model: Any, parts: list[dict[str, Any]], num_items_in_batch: Any) -> torch.Tensor:
        """The loss of a whole step, a part at a time; processes share their gradients after the last."""
        assert self.fast is not None
        total = torch.zeros((), device=self.args.device)
        with self.fast.lent():
            for left, part in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
                with self.accelerator.no_sync(model) if left else nullcontext():
                    total += super().training_step(model, part, num_items_in_batch)
        return total

    def evaluate(self, *arguments: Any, **settings: Any) -> dict[str, float]:
        """Run Eterna's evaluation. Returns its figures named eval_*; torch's random state is left as it was.

        Raises UserError where metric_for_best_model has no figure.
        """
        if self._evaluate_with is None:
            raise UserError("there is nothing to evaluate on", fix="give held-out data (eval_dataset)")
        begun = time.monotonic()
        with torch.random.fork_rng():
            figures = self._evaluate_with(self.accelerator.unwrap_model(self.model), self.state.global_step)
        metrics = {f"eval_{name}": value for name, value in figures.items()}
        best_by = self.args.metric_for_best_model
        if best_by and f"eval_{best_by.removeprefix('eval_')}" not in metrics:
            message = (
                f"training.metric_for_best_model is {best_by}, which none of the held-out items could be scored by"
            )
            raise UserError(message, fix=f"one of: {', '.join(figures)}")
        self._aside += time.monotonic() - begun
        self.log(metrics)
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Ask for a checkpoint wherever the composite is better than ever, so that the best one is always on disk."""
        better: bool = super()._determine_best_metric(metrics, trial)
        if better and self.args.metric_for_best_model == "composite":
            self.control.should_save = True
        return better


class _EpochStart(TrainerCallback):  # type: ignore[misc]
    """Tells the sampler which epoch begins; Trainer keeps the epoch as a float across a resume."""

    def __init__(self, order: EpochOrder) -> None:
        self.order = order

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        self.order.start_epoch(int(state.epoch or 0))
