"""The work that training systems are timed on: chat-like examples of random tokens, and models of random weights.

Lengths follow two log-normal laws, cut to 512 tokens: a prompt (median 67 tokens) that carries no loss and an answer
(median 99) that does. `long` has prompts of 900 tokens and answers of 100. Only torch and transformers are needed, so
that every peer's own environment can import this file.
"""

from __future__ import annotations

import random
import re
import time
from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, Any]] = {
    "12M": {
        "hidden_size": 320, "intermediate_size": 864, "num_hidden_layers": 8, "num_attention_heads": 5,
        "num_key_value_heads": 5, "vocab_size": 8192,
    },
    # That of mistralai/Mistral-7B-v0.1.
    "7B": {
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 32000,
    },
    # The published shape of HuggingFaceTB/SmolLM2-135M.
    "135M": {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "vocab_size": 49152,
    },
}  # fmt: skip
LORA = {"r": 8, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"], "lora_dropout": 0.1}
BATCH, ACCUMULATION = 4, 2
LEARNING_RATE, WEIGHT_DECAY = 2e-5, 0.01
LONGEST = {"chat": 512, "long": 1000}


def model(shape: str, dtype: str = "float32") -> Any:
    """A Mistral of that shape, on the GPU where there is one."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        **SHAPES[shape], max_position_embeddings=2048, sliding_window=None, tie_word_embeddings=shape != "7B",
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))  # so that a large one is never there in float32
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            return MistralForCausalLM(config)
    finally:
        torch.set_default_dtype(before)


def examples(count: int, vocabulary: int, kind: str = "chat", seed: int = 0) -> list[tuple[list[int], int]]:
    """(token ids, length of the prompt) of each example."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        prompt, answer = 900, 100
        if kind == "chat":
            prompt = max(8, min(256, int(draw.lognormvariate(4.2, 0.7))))
            answer = max(8, min(512 - prompt, int(draw.lognormvariate(4.6, 0.8))))
        found.append(([draw.randrange(3, vocabulary) for _ in range(prompt + answer)], prompt))
    return found


def memory() -> int:
    """Peak bytes of this process, as the system counts them, or of the GPU."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


class Clock:
    """When each optimizer step ended, how many real tokens had been fetched by then, the peak of memory until then."""

    def __init__(self) -> None:
        self.tokens = self.fetched = 0
        self.steps: list[tuple[float, int, int]] = []
        self.losses: list[float] = []

    def fetch(self, tokens: int) -> None:
        """A micro-batch was made."""
        self.tokens += tokens
        self.fetched += 1

    def step(self) -> None:
        """An optimizer step has ended."""
        self.steps.append((time.perf_counter(), self.tokens, memory()))

    def watch(self, loader: Any) -> None:
        """Count what a torch DataLoader collates, by its attention masks, from now on."""
        loader = getattr(loader, "base_dataloader", loader)  # inside accelerate's
        collate = loader.collate_fn

        def counted(batch: Any) -> Any:
            made = collate(batch)
            self.fetch(int(made["attention_mask"].sum()))
            return made

        loader.collate_fn = counted

    def callback(self, watch: bool = False) -> Any:
        """A callback of transformers' Trainer that tells this clock; with `watch` it counts the tokens too."""
        from transformers import TrainerCallback

        clock = self

        class Told(TrainerCallback):  # type: ignore[misc]
            def on_train_begin(self, *_: Any, train_dataloader: Any = None, **__: Any) -> None:
                if watch:
                    clock.watch(train_dataloader)

            def on_step_end(self, *_: Any, **__: Any) -> None:
                clock.step()

            def on_log(self, *_: Any, logs: Any = None, **__: Any) -> None:
                if "loss" in (logs or {}):
                    clock.losses.append(float(logs["loss"]))

        return Told()
