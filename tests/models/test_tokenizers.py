"""Each repair of a tokenizer is done, said, and leaves the stop token trained."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eterna.config import ModelSection, config_from_values
from eterna.data import Encoder
from eterna.data.batches import Collator
from eterna.errors import ModelError
from eterna.models import load_tokenizer
from eterna.pipeline.train import train
from eterna.world import Message

TALK: list[Message] = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Abel keeps them."}]
LONG: list[Message] = [{"role": "user", "content": "Who? " * 5}, TALK[1]]


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def change(path: Path, **values: Any) -> None:
    """Set keys of a JSON file, or take away those that are None."""
    settings = {**json.loads(path.read_text(encoding="utf-8")), **values}
    kept = {key: value for key, value in settings.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def load(folder: Path) -> tuple[Any, list[str]]:
    return load_tokenizer(ModelSection(name=str(folder)))


def trained_tokens(tokenizer: Any, messages: list[Message]) -> list[int]:
    """What carries loss in the first row of a padded batch."""
    encoder = Encoder(tokenizer)
    found = [encoder.messages(str(index), talk) for index, talk in enumerate((messages, LONG))]
    examples = [one for several in found if isinstance(several, list) for one in several]
    batch = Collator(tokenizer.pad_token_id)(examples)
    assert batch["attention_mask"][0].sum() == len(examples[0].ids) < batch["input_ids"].shape[1]
    return [int(label) for label in batch["labels"][0] if label >= 0]


def test_a_whole_tokenizer_is_left_alone(folder: Path) -> None:
    tokenizer, notes = load(folder)
    assert notes == []
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|pad|>", "<|im_end|>")


def test_without_a_padding_token_the_end_pads_and_is_still_trained(folder: Path) -> None:
    expected = trained_tokens(load(folder)[0], TALK)
    change(folder / "tokenizer_config.json", pad_token=None)
    tokenizer, notes = load(folder)
    assert tokenizer.pad_token == tokenizer.eos_token
    assert len(notes) == 1
    assert "no padding token: <|im_end|> pads" in notes[0]
    assert trained_tokens(tokenizer, TALK) == expected
    assert expected[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("brings", ["generation_config.json", "config.json"])
def test_without_an_end_of_text_token_the_model_s_own_is_taken(folder: Path, brings: str) -> None:
    whole = load(folder)[0]
    change(folder / "tokenizer_config.json", eos_token=None)
    if brings == "generation_config.json":
        change(folder / "config.json", eos_token_id=None)
    else:
        (folder / "generation_config.json").unlink()
    tokenizer, notes = load(folder)
    assert tokenizer.eos_token_id == whole.eos_token_id
    assert len(notes) == 1
    assert "no end-of-text token in the tokenizer: <|im_end|>" in notes[0]
    assert trained_tokens(tokenizer, TALK)[-1] == whole.eos_token_id


@pytest.mark.parametrize("stop", [None, 9999], ids=["none", "no token of the tokenizer"])
def test_an_end_of_text_that_nobody_knows_is_an_error(folder: Path, stop: int | None) -> None:
    change(folder / "tokenizer_config.json", eos_token=None)
    change(folder / "config.json", eos_token_id=stop)
    change(folder / "generation_config.json", eos_token_id=stop)
    with pytest.raises(ModelError, match="no end-of-text token") as caught:
        load(folder)
    assert "tokenizer_config.json" in str(caught.value)


def test_two_opinions_about_the_end_are_reported_and_both_stop_a_reply(folder: Path) -> None:
    from transformers import GenerationConfig

    other = load(folder)[0].convert_tokens_to_ids("<|im_start|>")
    change(folder / "generation_config.json", eos_token_id=other)
    tokenizer, notes = load(folder)
    assert notes == ["the tokenizer ends a text with <|im_end|>, the model with <|im_start|>: each ends a reply"]
    stops = Encoder(tokenizer).stop_tokens(GenerationConfig.from_pretrained(folder))
    assert stops == [tokenizer.eos_token_id, other]


def test_one_end_among_several_is_no_disagreement(folder: Path) -> None:
    tokenizer = load(folder)[0]
    change(folder / "generation_config.json", eos_token_id=[0, tokenizer.eos_token_id])
    assert load(folder)[1] == []


def test_without_a_chat_template_a_plain_one_is_used_and_ends_its_answers(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    tokenizer, notes = load(folder)
    assert notes == ["no chat template: a plain one is used and saved with the model"]
    trained = trained_tokens(tokenizer, TALK)
    assert tokenizer.decode(trained) == "Abel keeps them.<|im_end|>"


def test_every_repair_is_a_line_of_the_plan(folder: Path, run_values: dict[str, Any]) -> None:
    (folder / "chat_template.jinja").unlink()
    change(folder / "tokenizer_config.json", pad_token=None, eos_token=None)
    console = Console(record=True, width=200, file=io.StringIO())
    train(config_from_values({**run_values, "model": {"name": str(folder)}}), console, dry_run=True)
    lines = [line for line in console.export_text().splitlines() if line.startswith("note")]
    assert sum("end-of-text" in line or "padding token" in line or "chat template" in line for line in lines) == 3


def test_a_tokenizer_larger_than_the_embedding_is_refused(folder: Path, run_values: dict[str, Any]) -> None:
    tokenizer = load(folder)[0]
    tokenizer.add_tokens([f"<extra-{number}>" for number in range(50)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="has 450 tokens, the model 400"):
        train(config_from_values({**run_values, "model": {"name": str(folder)}}), Console(quiet=True), dry_run=True)


def test_an_embedding_larger_than_the_tokenizer_is_fine(folder: Path, run_values: dict[str, Any]) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, vocab_size=448)).save_pretrained(folder)
    values = {**run_values, "model": {"name": str(folder)}}
    values["training"] = {**values["training"], "max_steps": 1}
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    assert all(score.value is not None for score in trained.scores if score.metric == "perplexity")
