"""Scripts written for transformers: the guide's own code, and what a Trainer is expected to do."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from safetensors.torch import load_file

import eterna
from eterna.errors import ConfigError, DataError, EternaWarning, ModelError, UserError

# The guide's code, sections 4.2 and 4.3, with three changes: the import of Trainer and TrainingArguments, the model's
# name, and no fp16.
GUIDE = """
from transformers import AutoModelForCausalLM, AutoTokenizer

model_name = "tiny-mistral"  # Example: Replace with your desired model

model = AutoModelForCausalLM.from_pretrained(model_name)
tokenizer = AutoTokenizer.from_pretrained(model_name)

# If using LoRA, apply LoRA configuration here
from peft import LoraConfig, get_peft_model

config = LoraConfig(
    r=8, # Rank
    lora_alpha=32, # Scaling factor
    target_modules=["q_proj", "v_proj"], # Example: Target attention layers
    lora_dropout=0.1,
    bias="none",
    task_type="CAUSAL_LM"
)

model = get_peft_model(model, config)

from eterna import TrainingArguments, Trainer

training_args = TrainingArguments(
    output_dir="./results",          # Where to save checkpoints
    num_train_epochs=3,              # Number of training epochs
    per_device_train_batch_size=4,   # Batch size per GPU
    per_device_eval_batch_size=8,    # Batch size for evaluation
    gradient_accumulation_steps=2,  # Accumulate gradients over multiple steps
    evaluation_strategy="steps",     # Evaluate every `eval_steps`
    eval_steps=500,                 # Evaluation frequency
    save_steps=1000,                # Save checkpoint frequency
    learning_rate=2e-5,             # Learning rate
    weight_decay=0.01,              # Weight decay (regularization)
    warmup_steps=500,               # Warmup steps for learning rate scheduler
    logging_dir="./logs",           # Directory for logs
    logging_steps=10,               # Log every 10 steps
    # bf16=True,                   # Use bfloat16 (if supported - Ampere+ GPUs)
    report_to="tensorboard",        # Report to TensorBoard
)

trainer = Trainer(
    model=model,
    args=training_args,
    train_dataset=train_dataset,  # Your training dataset
    eval_dataset=eval_dataset,    # Your evaluation dataset
    tokenizer=tokenizer,
)

trainer.train()

model.save_pretrained("./my_fine_tuned_model")
tokenizer.save_pretrained("./my_fine_tuned_model")
"""


def conversation(number: int) -> dict[str, Any]:
    question = {"role": "user", "content": f"Where does stair {number} end?"}
    return {"messages": [question, {"role": "assistant", "content": f"It turns {number} times. " * (1 + number % 3)}]}


ROWS = [conversation(number) for number in range(12)]


@pytest.fixture
def tiny_mistral(tiny_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A random Mistral in the working folder; like the guide's, it has no padding token and no chat template."""
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    shape = MistralConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128, bos_token_id=None,
        eos_token_id=tiny_tokenizer.eos_token_id, pad_token_id=None,
    )  # fmt: skip
    MistralForCausalLM(shape).save_pretrained("tiny-mistral")
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer.name_or_path)
    tokenizer.chat_template = tokenizer.pad_token = None
    tokenizer.save_pretrained("tiny-mistral")
    return Path("tiny-mistral")


@pytest.fixture
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EternaWarning)
        yield


def test_the_guide_s_code_runs_as_it_stands(tiny_mistral: Path, tmp_path: Path) -> None:
    names = {"train_dataset": ROWS, "eval_dataset": datasets.Dataset.from_list(ROWS[:3])}
    with pytest.warns(EternaWarning) as caught:
        exec(compile(GUIDE, "guide.py", "exec"), names)  # noqa: S102
    said = [str(warning.message) for warning in caught if warning.category is EternaWarning]
    assert len(said) == 5
    assert said[0] == "evaluation_strategy is now eval_strategy='steps'"
    assert said[1].startswith("logging_dir is no field")
    assert said[2] == "Trainer(tokenizer=...) is now processing_class"
    assert "no padding token" in said[3]
    assert "no chat template" in said[4]
    assert {warning.filename for warning in caught if warning.category is EternaWarning} == {"guide.py"}
    assert names["trainer"].state.global_step == 6  # type: ignore[attr-defined]
    assert list(Path("logs").glob("events.out.tfevents*"))
    saved = Path("my_fine_tuned_model").resolve()
    alone = f"from peft import AutoPeftModelForCausalLM as A; print(A.from_pretrained('{saved}').peft_config)"
    environment = {**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", alone]
    done = subprocess.run(command, cwd=saved, capture_output=True, text=True, env=environment, check=False)
    assert "r=8" in done.stdout, done.stderr


def arguments(**settings: Any) -> Any:
    values = {"output_dir": "results", "max_steps": 4, "per_device_train_batch_size": 2, "eval_strategy": "steps"}
    values |= {"eval_steps": 2, "save_steps": 2, "logging_steps": 1, "learning_rate": 1e-2, "disable_tqdm": True}
    return eterna.TrainingArguments(**{**values, **settings})


def make(folder: Path, rows: Any = ROWS, lora: bool = True, arguments_: Any = None, **settings: Any) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder)
    if lora:
        torch.manual_seed(1)
        model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], lora_dropout=0.1, task_type="CAUSAL_LM"))  # fmt: skip
    values = {"eval_dataset": ROWS[:3], "processing_class": AutoTokenizer.from_pretrained(folder), **settings}
    return eterna.Trainer(model=model, args=arguments_ or arguments(), train_dataset=rows, **values)


@pytest.mark.usefixtures("quiet")
def test_training_writes_checkpoints_and_keeps_its_state(tiny_mistral: Path) -> None:
    trainer = make(tiny_mistral)
    output = trainer.train()
    assert output.global_step == trainer.state.global_step == 4
    assert {path.name for path in Path("results").iterdir()} == {"checkpoint-2", "checkpoint-4"}
    assert [row["step"] for row in trainer.state.log_history if "loss" in row] == [1, 2, 3, 4]
    measured = [row for row in trainer.state.log_history if "eval_loss" in row]
    assert [row["step"] for row in measured] == [2, 4]


@pytest.mark.usefixtures("quiet")
def test_evaluation_gives_the_perplexity_over_all_scored_tokens(tiny_mistral: Path) -> None:
    import math

    trainer = make(tiny_mistral)
    figures = trainer.evaluate()
    assert figures["eval_perplexity"] == pytest.approx(math.exp(figures["eval_loss"]))
    assert trainer.state.log_history[-1]["eval_loss"] == figures["eval_loss"]
    other = trainer.evaluate(ROWS[5:6], metric_key_prefix="test")
    assert other["test_loss"] != figures["eval_loss"]
    assert trainer.evaluate()["eval_loss"] == figures["eval_loss"]


@pytest.mark.usefixtures("quiet")
def test_without_held_out_rows_there_is_nothing_to_evaluate(tiny_mistral: Path) -> None:
    trainer = make(tiny_mistral, eval_dataset=None, arguments_=arguments(eval_strategy="no"))
    with pytest.raises(UserError, match="nothing to evaluate on"):
        trainer.evaluate()


@pytest.mark.usefixtures("quiet")
def test_a_resumed_script_ends_with_the_same_bits(tiny_mistral: Path) -> None:
    import shutil

    make(tiny_mistral).train()
    whole = load_file("results/checkpoint-4/adapter_model.safetensors")
    shutil.rmtree("results/checkpoint-4")
    make(tiny_mistral).train(resume_from_checkpoint=True)
    resumed = load_file("results/checkpoint-4/adapter_model.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("lora", [True, False])
def test_a_saved_model_stops_where_training_stopped(tiny_mistral: Path, tiny_tokenizer: Any, lora: bool) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    trainer = make(tiny_mistral, lora=lora)
    trainer.train()
    trainer.save_model("saved")
    assert GenerationConfig.from_pretrained("saved").eos_token_id == tiny_tokenizer.eos_token_id
    assert AutoTokenizer.from_pretrained("saved").chat_template


@pytest.mark.usefixtures("quiet")
def test_full_training_changes_the_model_it_was_given(tiny_mistral: Path) -> None:
    trainer = make(tiny_mistral, lora=False)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "rows",
    [
        [{"prompt": f"Stair {number}?", "completion": "It turns."} for number in range(4)],
        [{"text": f"The stair turned {number} times."} for number in range(4)],
        datasets.Dataset.from_list(ROWS[:4]),
        datasets.Dataset.from_list([{"text": "The stair turned.", "prompt": None}]),
    ],
    ids=["prompt and completion", "text", "messages of a data set", "empty cells"],
)
def test_rows_of_every_shape_are_trained(tiny_mistral: Path, rows: Any) -> None:
    trainer = make(tiny_mistral, rows, arguments_=arguments(max_steps=1))
    trainer.train()
    assert trainer.tokens_seen > 0


@pytest.mark.usefixtures("quiet")
def test_other_columns_are_mapped(tiny_mistral: Path) -> None:
    rows = [{"question": "Stair?", "answer": "It turns."}]
    trainer = make(tiny_mistral, rows, columns={"prompt": "question", "completion": "answer"})
    assert len(trainer.train_dataset) == 1


BAD_ROWS: dict[str, tuple[Any, str]] = {
    "no answer": ([*ROWS[:3], {"messages": [{"role": "user", "content": "Well?"}]}], r"train_dataset\[3\]: .*no answer"),
    "no column": ([{"input_ids": [1, 2]}], r"train_dataset\[0\]: the columns are 'input_ids'"),
    "no dict": (["some text"], r"train_dataset\[0\]: expected a dict"),
    "no rows": ([], "train_dataset holds no rows"),
    "a path": ("rows.jsonl", "train_dataset is a str, not rows"),
    "several parts": (datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}), "one of its parts: train"),
    "an id twice": ([{"id": "a", "text": "x y"}, {"id": "a", "text": "z"}], r"train_dataset\[1\]: the id 'a' stands twice \(first at train_dataset\[0\]\)"),
    "too long": ([{"text": "turn " * 500}], r"train_dataset\[0\]: .* do not fit data.max_length 128"),
}  # fmt: skip


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("case", sorted(BAD_ROWS))
def test_a_wrong_row_is_named(tiny_mistral: Path, case: str) -> None:
    rows, expected = BAD_ROWS[case]
    with pytest.raises(DataError, match=expected):
        make(tiny_mistral, rows)


@pytest.mark.usefixtures("quiet")
def test_a_long_text_can_be_split_into_the_model_s_window(tiny_mistral: Path) -> None:
    trainer = make(tiny_mistral, [{"text": "turn " * 500}], too_long="split")
    assert max(trainer.lengths) == 128
    assert max(make(tiny_mistral, [{"text": "turn " * 500}], too_long="split", max_length=64).lengths) == 64


@pytest.mark.usefixtures("quiet")
def test_settings_of_the_data_are_checked(tiny_mistral: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.too_long is 'shrink'"):
        make(tiny_mistral, too_long="shrink")
    with pytest.raises(ConfigError, match="max_length is 999, but the model takes 128"):
        make(tiny_mistral, max_length=999)


@pytest.mark.usefixtures("quiet")
def test_a_tokenizer_is_needed_once(tiny_mistral: Path, tiny_tokenizer: Any) -> None:
    with pytest.raises(UserError, match="needs the model's tokenizer"):
        make(tiny_mistral, processing_class=None)
    with pytest.raises(UserError, match="twice"):
        make(tiny_mistral, tokenizer=tiny_tokenizer)


@pytest.mark.usefixtures("quiet")
def test_a_tokenizer_of_another_model_is_refused(tiny_mistral: Path, tiny_tokenizer: Any) -> None:
    from transformers import AutoTokenizer

    larger = AutoTokenizer.from_pretrained(tiny_tokenizer.name_or_path)
    larger.add_tokens(["<stair>"])
    with pytest.raises(ModelError, match=r"the tokenizer has .* tokens, the model"):
        make(tiny_mistral, processing_class=larger)


@pytest.mark.usefixtures("quiet")
def test_fp16_asks_for_float32_weights(tiny_mistral: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_mistral, dtype=torch.float16)
    half = arguments()
    half.fp16 = True
    with pytest.raises(ConfigError, match=r"the trained ones are torch\.float16"):
        eterna.Trainer(model, half, ROWS, ROWS, AutoTokenizer.from_pretrained(tiny_mistral))
