"""Peers that need an environment of their own: how it is made, and one training run of each in it.

`python_of(name)` makes build/peers/NAME with pip on first use. The peers' own entry points are called as a user would
(`llamafactory.train.tuner.run_exp`, `litgpt.finetune.lora.setup` and `full.setup`), on tokens that are already there.
Only torch is imported at the head, since the environments share nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from workload import ACCUMULATION, BATCH, LEARNING_RATE, LORA, SHAPES, WEIGHT_DECAY, Clock, examples

ENVIRONMENTS: dict[str, list[str]] = {
    "trl": ["trl", "peft"],
    "llamafactory": ["llamafactory", "torch==2.11.0"],
    "litgpt": ["litgpt", "requests"],
    "harness": ["lm_eval[hf]", "peft"],
}
OWN_TORCH = {"llamafactory"}
"""Not the torch of this environment: its torchaudio, whose last is 2.11, refuses any other."""
HOME = Path(__file__).parents[1] / "build" / "peers"


def python_of(name: str) -> str:
    """The interpreter of a peer's environment, made on first use, with the torch of this one where it can have it."""
    folder = HOME / name
    python, ready = folder / "bin" / "python", folder / "ready.json"
    wanted = list(ENVIRONMENTS[name])
    if name not in OWN_TORCH:
        wanted.append(f"torch=={torch.__version__.split('+')[0]}")
    if ready.is_file() and json.loads(ready.read_text()) == wanted:
        return str(python)
    print(f"making {folder}: pip install {' '.join(wanted)}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)  # noqa: S603 - our own words
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)  # noqa: S603
    ready.write_text(json.dumps(wanted))
    return str(python)


def words_tokenizer(vocabulary: int, folder: Path) -> None:
    """A tokenizer whose words are t0, t1, ..., as tokenizer.json and tokenizer_config.json."""
    from tokenizers import Tokenizer, models

    words = {f"t{number}": number for number in range(vocabulary)}
    Tokenizer(models.WordLevel(words, unk_token="t3")).save(str(folder / "tokenizer.json"))  # noqa: S106
    names = {"pad_token": "t0", "bos_token": "t1", "eos_token": "t2", "unk_token": "t3"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def llamafactory(shape: str, method: str, kind: str, count: int, clock: Clock, how: str) -> None:
    """LLaMA-Factory's `train` on a tokenized data set. how: with `grouped` in it, by length."""
    from datasets import Dataset, DatasetDict
    from llamafactory.train.tuner import run_exp
    from workload import model

    folder = Path(tempfile.mkdtemp())
    model(shape).save_pretrained(folder / "model")
    words_tokenizer(SHAPES[shape]["vocab_size"], folder / "model")
    rows = [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * prompt + ids[prompt:]}
        for ids, prompt in examples(count, SHAPES[shape]["vocab_size"], kind)
    ]
    DatasetDict({"train": Dataset.from_list(rows)}).save_to_disk(str(folder / "data"))
    lora = {
        "lora_rank": LORA["r"], "lora_alpha": LORA["lora_alpha"], "lora_dropout": LORA["lora_dropout"],
        "lora_target": ",".join(LORA["target_modules"]),
    }  # fmt: skip
    grouped = {"train_sampling_strategy": "group_by_length"} if "grouped" in how else {}
    settings = {
        "stage": "sft", "do_train": True, "model_name_or_path": str(folder / "model"), "template": "empty",
        "finetuning_type": method, "dataset": "workload", "tokenized_path": str(folder / "data"), "cutoff_len": 1024,
        "output_dir": str(folder / "out"), "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": ACCUMULATION, "num_train_epochs": 1, "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY, "logging_steps": 5, "save_strategy": "no", "seed": 0, "report_to": "none",
        "use_cpu": not torch.cuda.is_available(), "bf16": True, "disable_gradient_checkpointing": True,
        "disable_tqdm": True, **(lora if method == "lora" else {}), **grouped,
    }  # fmt: skip
    run_exp(settings, callbacks=[clock.callback(watch=True)])


def litgpt(shape: str, method: str, kind: str, count: int, clock: Clock, how: str) -> None:
    """LitGPT's `finetune_lora` or `finetune_full`. how: with `half` in it, weights in bfloat16, else mixed."""
    from litgpt import GPT, Config
    from litgpt.args import EvalArgs, TrainArgs
    from litgpt.data import DataModule
    from litgpt.finetune import full, lora
    from litgpt.prompts import Default
    from litgpt.utils import save_config
    from torch.utils.data import DataLoader

    found = examples(count, SHAPES[shape]["vocab_size"], kind)
    rows = [
        {"input_ids": torch.tensor(ids), "labels": torch.tensor([-100] * prompt + ids[prompt:])}
        for ids, prompt in found
    ]

    def collate(batch: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
        if clock.fetched and clock.fetched % ACCUMULATION == 0:
            clock.step()
        sizes = torch.tensor([[len(row["input_ids"])] for row in batch])
        clock.fetch(int(sizes.sum()))
        names = (("input_ids", 0), ("labels", -100))
        made: dict[str, Any] = {
            name: torch.nn.utils.rnn.pad_sequence([row[name] for row in batch], batch_first=True, padding_value=filler)
            for name, filler in names
        }
        return made | {"token_counts": {"raw": sizes, "raw_plus_prompt_template": sizes}}

    class Data(DataModule):  # type: ignore[misc]
        prompt_style = Default()
        train_dataset = test_dataset = SimpleNamespace(data=[{"instruction": "t5"}])

        def connect(self, tokenizer: Any = None, batch_size: int = 1, max_seq_length: Any = None, **_: Any) -> None:
            self.batch_size = batch_size

        def train_dataloader(self) -> Any:
            return DataLoader(rows, batch_size=self.batch_size, shuffle=True, collate_fn=collate)

        def val_dataloader(self) -> Any:
            return DataLoader(rows[:1], collate_fn=lambda batch: {key: batch[0][key][None] for key in batch[0]})

    given, folder = SHAPES[shape], Path(tempfile.mkdtemp())
    config = Config(
        name="workload", block_size=2048, vocab_size=given["vocab_size"], padded_vocab_size=given["vocab_size"],
        n_layer=given["num_hidden_layers"], n_head=given["num_attention_heads"], n_embd=given["hidden_size"],
        n_query_groups=given["num_key_value_heads"], intermediate_size=given["intermediate_size"],
        rotary_percentage=1.0, parallel_residual=False, bias=False, norm_class_name="RMSNorm",
        mlp_class_name="LLaMAMLP", lm_head_bias=False,
    )  # fmt: skip
    torch.manual_seed(0)
    torch.save(GPT(config).state_dict(), folder / "lit_model.pth")
    save_config(config, folder)
    words_tokenizer(given["vocab_size"], folder)
    train = TrainArgs(
        save_interval=None, log_interval=ACCUMULATION, global_batch_size=BATCH * ACCUMULATION, micro_batch_size=BATCH,
        lr_warmup_steps=1, epochs=1,
    )  # fmt: skip
    common: dict[str, Any] = {
        "out_dir": folder / "out", "precision": "bf16-true" if "half" in how else "bf16-mixed", "data": Data(),
        "train": train, "eval": EvalArgs(interval=10**6, max_new_tokens=1, max_iters=1, final_validation=False),
        "optimizer": {
            "class_path": "torch.optim.AdamW", "init_args": {"lr": LEARNING_RATE, "weight_decay": WEIGHT_DECAY}
        },
        "seed": 0,
    }  # fmt: skip
    sys.argv = ["litgpt", str(folder)]  # at its end it writes down what it takes for its command line
    if method == "lora":
        ranks = {"lora_r": LORA["r"], "lora_alpha": LORA["lora_alpha"], "lora_dropout": LORA["lora_dropout"]}
        lora.setup(folder, **common, **ranks)
    else:
        full.setup(folder, **common)
