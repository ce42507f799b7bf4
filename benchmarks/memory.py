"""The plan's estimate of the peak memory against the peak that the operating system measured.

    python benchmarks/memory.py [SHAPE ...]

Five shapes from 1 to 135 million parameters with random weights, each trained for three steps of 4 rows of 256 tokens
on a CPU in float32, by LoRA and in full, by the command `eterna train` in a process of its own. Measured is VmHWM, the
most that was resident at a time. From both figures the peak after the bare imports of torch, transformers and PEFT
is taken away. Writes results/memory.json beside this file and prints the table.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROWS, LENGTH, STEPS = 4, 256, 3
SHAPES: dict[str, dict[str, Any]] = {
    "1M": {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 2, "vocab_size": 2048},
    "3M": {"hidden_size": 192, "num_hidden_layers": 5, "num_attention_heads": 3, "vocab_size": 4096},
    "12M": {"hidden_size": 320, "num_hidden_layers": 8, "num_attention_heads": 5, "vocab_size": 8192},
    "40M": {"hidden_size": 512, "num_hidden_layers": 10, "num_attention_heads": 8, "vocab_size": 16384},
    # The published shape of HuggingFaceTB/SmolLM2-135M.
    "135M": {"hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "vocab_size": 49152},
}
INTERMEDIATE = {128: 344, 192: 512, 320: 864, 512: 1376, 576: 1536}
METHODS = ("lora", "full")
IMPORTS = "import torch, transformers, peft; from transformers import Trainer; from peft import get_peft_model"
PEAK = "import re; print('peak', int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024)"
COMMAND = "import sys; from eterna.cli.main import app; app(sys.argv[1:], prog_name='eterna', standalone_mode=False)"
MEBI = 2**20


def make_model(folder: Path, name: str) -> None:
    """A Llama of that shape with random weights, a tokenizer of one token a word, and texts of LENGTH tokens."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    shape = SHAPES[name]
    words = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{number}" for number in range(shape["vocab_size"] - 4))]
    core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))  # noqa: S106
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")  # noqa: S106
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        **shape,
        intermediate_size=INTERMEDIATE[shape["hidden_size"]],
        num_key_value_heads=shape["num_attention_heads"] // (3 if name == "135M" else 1),
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    text = " ".join(words[4 + place % 1000] for place in range(LENGTH - 1))
    rows = [json.dumps({"id": f"t{number}", "text": text}) for number in range(ROWS * STEPS)]
    (folder / "text.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def run_file(folder: Path, method: str) -> dict[str, Any]:
    """The settings of one cell."""
    lora = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear", "lora_dropout": 0.1}
    return {
        "name": method,
        "model": {"name": str(folder)},
        **({"lora": lora} if method == "lora" else {}),
        "data": {"train": [{"path": str(folder / "text.jsonl")}], "max_length": LENGTH},
        "training": {
            "output_dir": str(folder / method),
            "num_train_epochs": 1,
            "per_device_train_batch_size": ROWS,
            "precision": "fp32",
            "logging_steps": 1,
        },
    }


def measured(code: str, *words: str) -> tuple[int, str]:
    """Peak of a fresh process that runs the code, in bytes, and what it printed."""
    settings = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(  # noqa: S603  our own interpreter and words
        [sys.executable, "-c", f"{code}\n{PEAK}", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **settings},
    )
    found = re.search(r"^peak (\d+)$", done.stdout, re.M)
    if not found or done.returncode:
        raise SystemExit(f"the process failed:\n{done.stdout}\n{done.stderr}")
    return int(found[1]), done.stdout


def measure_cell(folder: Path, method: str, imports: int) -> dict[str, float]:
    """One training: estimated and measured bytes above the bare imports, and their ratio."""
    shutil.rmtree(folder / method, ignore_errors=True)
    file = folder / f"{method}.yaml"
    file.write_text(json.dumps(run_file(folder, method)), encoding="utf-8")
    peak, said = measured(COMMAND, "train", str(file))
    estimate = re.search(r"^memory +about ([\d,]+) MiB", said, re.M)
    if not estimate:
        raise SystemExit(f"the plan names no peak:\n{said}")
    estimated = float(estimate[1].replace(",", "")) * MEBI - imports
    return {"estimated": estimated, "measured": float(peak - imports), "ratio": estimated / (peak - imports)}


def main() -> int:
    """Command line."""
    names = sys.argv[1:] or list(SHAPES)
    imports, _ = measured(IMPORTS)
    cells: dict[str, dict[str, float]] = {}
    sys.stdout.write(f"bare imports {imports / MEBI:,.0f} MiB; the rest is above them\n")
    sys.stdout.write(f"{'cell':<12}{'estimated':>12}{'measured':>12}{'ratio':>8}\n")
    for name in names:
        with tempfile.TemporaryDirectory() as made:
            make_model(Path(made), name)
            for method in METHODS:
                cell = cells[f"{name} {method}"] = measure_cell(Path(made), method, imports)
                row = f"{cell['estimated'] / MEBI:>8,.0f} MiB{cell['measured'] / MEBI:>8,.0f} MiB{cell['ratio']:>8.2f}"
                sys.stdout.write(f"{name + ' ' + method:<12}{row}\n")
                sys.stdout.flush()
    if names == list(SHAPES):
        from machine import write_results  # beside this file, which tests import as part of a package

        write_results("memory", {"imports": imports, "rows": ROWS, "length": LENGTH, "cells": cells})
    return 0


if __name__ == "__main__":
    sys.exit(main())
