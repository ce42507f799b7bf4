"""Evaluation on a finished run: replies beside a plain `generate` loop, perplexity beside lm-evaluation-harness.

    python benchmarks/evaluation.py RUN [--rounds 3] [--harness PYTHON]

RUN: a run's folder, such as runs/demo; its tuned model, its held-out prompts and the canon's questions are taken.
PYTHON: an interpreter with lm_eval and peft; without it, one of an environment under build/peers, made on first use.
Systems take turns; medians count. Greedy decoding; new tokens are compared one by one. Writes results/evaluation.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

BATCH = 8


def plain_replies(model: Any, tokenizer: Any, prompts: list[list[int]], longest: int, stop: list[int]) -> list[Any]:
    """transformers' generate, eight prompts at a time in the order given, padded on the left."""
    from transformers import GenerationConfig

    settings = GenerationConfig(
        max_new_tokens=longest, do_sample=False, pad_token_id=tokenizer.pad_token_id, eos_token_id=stop
    )
    replies = []
    for start in range(0, len(prompts), BATCH):
        part = prompts[start : start + BATCH]
        width = max(map(len, part))
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(one)) + one for one in part])
        mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in part])
        with torch.no_grad():
            out = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
        for row in out[:, width:].tolist():
            end = next((place + 1 for place, token in enumerate(row) if token in stop), len(row))
            replies.append(row[:end])
    return replies


def own_replies(model: Any, prompts: list[list[int]], longest: int, stop: list[int]) -> list[Any]:
    """Eterna's, as token ids instead of text."""
    from eterna.config import GenerationSection
    from eterna.models import generate_all

    class Ids:
        """A tokenizer that writes numbers."""

        def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
            return " ".join(map(str, ids))

    section = GenerationSection(max_new_tokens=longest)
    made = generate_all(model, Ids(), prompts, section, stop, [0] * len(prompts))
    return [[int(token) for token in one.text.split()] for one in made]


def pairs_of(encoded: list[Any]) -> list[tuple[list[int], list[int]]]:
    """(context, continuation) of each run of scored tokens, as the harness wants them."""
    found = []
    for one in encoded:
        scored = [place for place in range(1, len(one.ids)) if one.weights[place] > 0]
        for place in scored:
            if place - 1 not in scored:
                end = next(at for at in range(place, len(one.ids) + 1) if at == len(one.ids) or at not in scored)
                found.append((list(one.ids[:place]), list(one.ids[place:end])))
    return found


HARNESS = """
import json, sys, time
from lm_eval.models.huggingface import HFLM
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
given = json.load(open(sys.argv[1]))
model = AutoModelForCausalLM.from_pretrained(given["base"], dtype="float32")
if given["adapter"]:
    model = PeftModel.from_pretrained(model, given["adapter"])
tokenizer = AutoTokenizer.from_pretrained(given["tokenizer"])
sizes = {"batch_size": given["batch"], "max_length": given["window"]}
lm = HFLM(pretrained=model.eval(), tokenizer=tokenizer, device="cpu", **sizes)
requests = [(("", ""), context, answer) for context, answer in given["pairs"]]
lm._loglikelihood_tokens(requests[:8], disable_tqdm=True)
begun = time.perf_counter()
scores = lm._loglikelihood_tokens(requests, disable_tqdm=True)
print(json.dumps({"seconds": time.perf_counter() - begun, "nll": -sum(score for score, _ in scores)}))
"""


def harness(python: str, given: dict[str, Any]) -> dict[str, float]:
    """Seconds and total NLL by lm-evaluation-harness, in a process of its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "given.json"
        file.write_text(json.dumps(given), encoding="utf-8")
        command = [python, "-W", "ignore", "-c", HARNESS, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - named by the caller
    if done.returncode:
        raise SystemExit(f"the harness failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and what came out."""
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def compare(run: Path, rounds: int, python: str | None) -> dict[str, Any]:
    """All figures for one run's tuned model."""
    from eterna.data import Encoder, gather_again, prepare_data
    from eterna.evaluation import score_items
    from eterna.models import load_finished
    from eterna.models.loading import find_model
    from eterna.pipeline.inputs import prompt_room, read_world, read_yardsticks
    from eterna.pipeline.measuring import Measurer
    from eterna.runs import RunFolder

    folder = RunFolder.open(run)
    config = folder.config()
    world = read_world(config)
    read = gather_again(config.data, config.training.seed, world)
    model, tokenizer = load_finished(folder.final)
    data = prepare_data(read, config.data, tokenizer, config.evaluation.samples, prompt_room(config))
    measurer = Measurer(config, world, read_yardsticks(config.evaluation, world), read, data, tokenizer)
    prompts = [list(item.prompt_ids) for item in [*data.items, *measurer.temptations()]]
    stop, longest = Encoder(tokenizer).stop_tokens(model.generation_config), config.generation.max_new_tokens
    pairs = pairs_of(data.eval)
    # load_finished holds float32; the harness gets the same folders.
    adapter = folder.final if (folder.final / "adapter_config.json").is_file() else None
    given = {
        "base": str(find_model(config.model.name)) if adapter else str(folder.final),
        "adapter": str(adapter) if adapter else None,
        "tokenizer": str(folder.final), "batch": BATCH, "window": config.data.max_length, "pairs": pairs,
    }  # fmt: skip
    found: dict[str, Any] = {
        "run": run.name, "parameters": sum(weight.numel() for weight in model.parameters()), "prompts": len(prompts),
        "longest_reply": longest, "scored": sum(len(answer) for _, answer in pairs), "plain_seconds": [],
        "own_seconds": [], "harness_seconds": [], "own_scoring_seconds": [],
    }  # fmt: skip
    own_replies(model, prompts[:BATCH], 4, stop)
    for _ in range(rounds):
        seconds, plain = timed(lambda: plain_replies(model, tokenizer, prompts, longest, stop))
        found["plain_seconds"].append(seconds)
        seconds, own = timed(lambda: own_replies(model, prompts, longest, stop))
        found["own_seconds"].append(seconds)
        found["new_tokens"] = sum(map(len, plain))
        found["same_replies"] = sum(one == other for one, other in zip(plain, own, strict=True))
        seconds, scored = timed(lambda: score_items(model, data.eval, config.data.max_length, BATCH))
        found["own_scoring_seconds"].append(seconds)
        found["own_nll"] = sum(one.nll for one in scored)
        if python:
            theirs = harness(python, given)
            found["harness_seconds"].append(theirs["seconds"])
            found["harness_nll"] = theirs["nll"]
    return found


def main() -> None:
    """Measure, print and write the results."""
    from machine import write_results
    from peers import python_of

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--harness")
    asked = parser.parse_args()
    found = compare(asked.run, asked.rounds, asked.harness or python_of("harness"))
    write_results("evaluation", found)
    json.dump(found, sys.stdout, indent=1)
    for slow, fast in (("plain_seconds", "own_seconds"), ("harness_seconds", "own_scoring_seconds")):
        if found[slow]:
            ratio = statistics.median(found[slow]) / statistics.median(found[fast])
            print(f"\n{slow.split('_')[0]}: {ratio:.2f} times our time")


if __name__ == "__main__":
    main()
