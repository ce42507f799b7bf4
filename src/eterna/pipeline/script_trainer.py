"""`eterna.Trainer`: transformers' Trainer for scripts, with Eterna's data checks, loss, order and evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from transformers.integrations import TensorBoardCallback

from eterna.config import DataSection, config_from_values
from eterna.data import Encoded, Encoder, prepare_data, read_rows
from eterna.errors import ConfigError, EternaWarning, ModelError, UserError
from eterna.evaluation import score_items, summarize
from eterna.models import make_base_absolute, repair_tokenizer, set_stop_tokens
from eterna.training import EternaTrainer

WINDOW = 1024  # tokens, for a model that does not say its own


class Trainer(EternaTrainer):
    """Trains a model on rows: a list of dicts or a datasets.Dataset.

    A row holds `messages` (a list of {role, content}), `prompt` and `completion`, or `text`; `columns` maps other
    names, such as {"prompt": "question"}. Loss is taken on the answers with their stop token; train_on="all" takes it
    everywhere. max_length: window in tokens, the model's own when left out; too_long: `error`, `drop`, `cut_left` or
    `split`. `evaluate` gives eval_loss, eval_perplexity and eval_bits_per_byte over all scored tokens.

    Everything else is transformers': train, evaluate, save_model, state, callbacks, checkpoints, report_to. The
    tokenizer gets a padding token and a chat template where it has none, each said by an EternaWarning. Raises
    DataError naming the row (`train_dataset[3]`), ModelError and ConfigError.
    """

    def __init__(
        self,
        model: Any,
        args: TrainingArguments | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        tokenizer: Any = None,
        callbacks: Sequence[TrainerCallback] = (),
        *,
        max_length: int | None = None,
        too_long: str = "error",
        train_on: str = "answers",
        columns: dict[str, str] | None = None,
    ) -> None:
        tokenizer = self._tokenizer(processing_class, tokenizer)
        for note in repair_tokenizer(tokenizer, tokenizer.name_or_path or "the model"):
            warnings.warn(note, EternaWarning, stacklevel=2)
        args = args if args is not None else TrainingArguments()
        _check_fit(model, tokenizer, args)
        make_base_absolute(model)
        window = _window(model, max_length)
        self._data = _data_section(window, too_long=too_long, train_on=train_on, columns=columns or {})
        self._encode_by = tokenizer
        train = self._encode(train_dataset, "train_dataset") if train_dataset is not None else []
        self._held_out = self._encode(eval_dataset, "eval_dataset") if eval_dataset is not None else []
        evaluate = self._score if eval_dataset is not None else None
        super().__init__(model, args, tokenizer, train, [1.0] * len(train), evaluate, callbacks)
        if train_dataset is None:
            self.train_dataset = None
        if args.disable_tqdm:
            self.add_callback(PrinterCallback)
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback) and hasattr(args, "logging_dir"):
                callback.logging_dir = args.logging_dir

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The figures on `eval_dataset`, else on the one given at the start. Raises UserError where there is none."""
        if eval_dataset is None and (metric_key_prefix == "eval" or not self._held_out):
            return super().evaluate()
        kept = self._held_out
        if eval_dataset is not None:
            self._held_out = self._encode(eval_dataset, "eval_dataset")
        figures = self._score(self.accelerator.unwrap_model(self.model), self.state.global_step)
        self._held_out = kept
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in figures.items()}
        self.log(metrics)
        return metrics

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As transformers, with a generation config that stops where training stopped, beside an adapter as well."""
        model = self.accelerator.unwrap_model(self.model)
        set_stop_tokens(model.generation_config, self._encode_by, self._stop_tokens(model))
        super().save_model(output_dir, _internal_call)
        folder = Path(output_dir or self.args.output_dir)
        if self.args.should_save and (folder / "adapter_config.json").is_file():
            model.generation_config.save_pretrained(folder)

    def _stop_tokens(self, model: Any) -> list[int]:
        return Encoder(self._encode_by).stop_tokens(model.generation_config)

    def _encode(self, rows: Any, name: str) -> list[Encoded]:
        part = "train" if name == "train_dataset" else "eval"
        prepared = prepare_data([read_rows(rows, part, name, self._data.columns)], self._data, self._encode_by)
        return prepared.train or prepared.eval

    def _score(self, model: Any, step: int) -> dict[str, float]:
        losses = score_items(model, self._held_out, self._data.max_length, self.args.per_device_eval_batch_size)
        pooled = summarize(losses)
        figures = {"loss": pooled.loss, "perplexity": pooled.perplexity}
        return figures | ({} if pooled.bits_per_byte is None else {"bits_per_byte": pooled.bits_per_byte})

    @staticmethod
    def _tokenizer(processing_class: Any, tokenizer: Any) -> Any:
        if tokenizer is not None:
            if processing_class is not None:
                raise UserError("tokenizer and processing_class say the same thing twice", fix="keep processing_class")
            warnings.warn("Trainer(tokenizer=...) is now processing_class", EternaWarning, stacklevel=3)
            return tokenizer
        if processing_class is None:
            raise UserError("Trainer needs the model's tokenizer", fix="Trainer(..., processing_class=tokenizer)")
        return processing_class


def _check_fit(model: Any, tokenizer: Any, args: TrainingArguments) -> None:
    size = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > size:
        raise ModelError(
            f"the tokenizer has {len(tokenizer):,} tokens, the model {size:,}",
            fix="use the tokenizer that belongs to the model, or model.resize_token_embeddings(len(tokenizer))",
        )
    held = {str(one.dtype) for one in model.parameters() if one.requires_grad and one.dtype != torch.float32}
    if args.fp16 and held:
        raise ConfigError(
            f"fp16=True trains float32 weights, but the trained ones are {', '.join(sorted(held))}",
            fix="load the model with dtype=torch.float32",
        )


def _window(model: Any, asked: int | None) -> int:
    own = getattr(model.config, "max_position_embeddings", None)
    if asked and own and asked > own:
        raise ConfigError(f"max_length is {asked}, but the model takes {own} tokens at most", fix=f"max_length={own}")
    return asked or own or WINDOW


def _data_section(window: int, **settings: Any) -> DataSection:
    """The data section of a run file that would say the same, checked as one."""
    data = {"train": [{"path": "train_dataset"}], "max_length": window, **settings}
    return config_from_values(
        {"model": {"name": "model"}, "data": data, "generation": {"max_new_tokens": 1}}
    ).config.data
