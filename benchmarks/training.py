"""Training speed and memory of Eterna beside its peers, on the same examples: one table a work.

    python benchmarks/training.py [--work WORK ...] [--rounds 2] [--systems SYSTEM ...]

WORK: chat-lora, chat-full, long-lora, 135m-lora. First every setting of every peer trains once on 200 chat examples;
those within a tenth of the fastest peer then take turns with Eterna (A B A B) on the whole work, and medians over the
rounds are given. Each run is a process of its own. transformers' Trainer runs in this environment, and so does a peer
that is installed here; the others in environments of their own under build/peers, made on first use (LLaMA-Factory's
takes several gigabytes). Writes results/training.json beside this file, where works that were not asked for keep their
runs, and prints the tables. The machine should be idle: a busy core slows torch several times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from machine import machine, read_results, write_results
from peers import ENVIRONMENTS, python_of

HERE = Path(__file__).parent
WORKS: dict[str, tuple[str, str, str, int]] = {  # shape, method, kind of examples, how many
    "chat-lora": ("12M", "lora", "chat", 1000),
    "chat-full": ("12M", "full", "chat", 1000),
    "long-lora": ("12M", "lora", "long", 100),
    "135m-lora": ("135M", "lora", "chat", 100),
}
FIRST_LOOK = 200  # examples
CLOSE = 0.9  # of the fastest peer's speed at the first look, so that a setting takes part in the rounds
SYSTEMS = {
    "eterna": "Eterna, fast path, bf16",
    "eterna-plain": "Eterna, plain path, bf16",
    "hf-fp32": "HF Trainer, fp32",
    "hf-bf16": "HF Trainer, bf16 autocast",
    "hf-bf16-grouped": "HF Trainer, bf16 autocast, grouped by length",
    "hf-half-grouped": "HF Trainer, base in bf16, grouped by length",
    "trl-packed": "TRL SFTTrainer, bf16, packed",
    "trl-padded": "TRL SFTTrainer, bf16",
    "llamafactory": "LLaMA-Factory, bf16",
    "llamafactory-grouped": "LLaMA-Factory, bf16, grouped by length",
    "litgpt": "LitGPT, bf16-mixed",
    "litgpt-half": "LitGPT, bf16-true",
}
FULL_ONLY_IN_FLOAT32 = {"hf-half-grouped", "litgpt-half"}  # pure bfloat16 weights, trained, are another method


def run_one(system: str, shape: str, method: str, kind: str, count: int) -> dict[str, Any]:
    """One process. Raises CalledProcessError with what it said."""
    peer = system.split("-")[0]
    python = python_of(peer) if peer in ENVIRONMENTS and not find_spec(peer) else sys.executable
    command = [python, "-W", "ignore", str(HERE / "one_training.py"), system, shape, method, kind, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        done.check_returncode()
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def first_look(method: str) -> dict[str, float]:
    """Tokens per second of every setting of every peer, one short run each."""
    found = {}
    for system in SYSTEMS:
        if not system.startswith("eterna") and not (method == "full" and system in FULL_ONLY_IN_FLOAT32):
            found[system] = run_one(system, "12M", method, "chat", FIRST_LOOK)["tokens_per_second"]
            print(f"{method}, first look, {system}: {found[system]:,.0f} tokens/s", file=sys.stderr, flush=True)
    return found


def contenders(looked: dict[str, float]) -> list[str]:
    """Eterna, and the peers' settings that are close to the fastest of them."""
    return ["eterna", *(system for system, speed in looked.items() if speed >= CLOSE * max(looked.values()))]


def summary(work: str, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each system: medians, and the ratio to the fastest peer."""
    rows = []
    for system in SYSTEMS:
        own = [one for one in runs if one["system"] == system and one["work"] == work]
        if own:
            speeds = [one["tokens_per_second"] for one in own]
            peaks = [one["peak"] - one["bare"] for one in own]
            rows.append({
                "system": system, "tokens_per_second": statistics.median(speeds), "slowest": min(speeds),
                "fastest": max(speeds), "memory": statistics.median(peaks), "rounds": len(own),
            })  # fmt: skip
    peers = [row for row in rows if not row["system"].startswith("eterna")]
    best = max(peers, key=lambda row: row["tokens_per_second"], default=None)
    for row in rows:
        row["speed_ratio"] = row["tokens_per_second"] / best["tokens_per_second"] if best else None
        row["memory_ratio"] = row["memory"] / best["memory"] if best else None
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| system | tokens/s | of the best peer | memory above imports | of the best peer's |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        speed = f"{row['tokens_per_second']:,.0f} ({row['slowest']:,.0f} - {row['fastest']:,.0f})"
        ratios = [f"{row[name]:.2f}" if row[name] else "" for name in ("speed_ratio", "memory_ratio")]
        memory = f"{row['memory'] / 2**20:,.0f} MiB"
        lines.append(f"| {SYSTEMS[row['system']]} | {speed} | {ratios[0]} | {memory} | {ratios[1]} |")
    return "\n".join(lines)


def main() -> None:
    """All runs, the results file, the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="*", choices=WORKS, default=list(WORKS))
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, help="these in the rounds, without a first look")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    before = read_results("training")
    if before.get("machine") != machine():
        before = {}
    runs = [one for one in before.get("runs", []) if one["work"] not in asked.work]
    looked: dict[str, dict[str, float]] = before.get("first_look", {})
    for work in asked.work:
        method = WORKS[work][1]
        if not asked.systems and WORKS[work][:3] == ("12M", method, "chat"):
            looked[method] = first_look(method)
        for number in range(asked.rounds):
            for system in asked.systems or contenders(looked[method]):
                runs.append({"work": work, "round": number, **run_one(system, *WORKS[work])})
                speed = runs[-1]["tokens_per_second"]
                print(f"{work} round {number + 1} {system}: {speed:,.0f} tokens/s", file=sys.stderr, flush=True)
        print(f"\n{work}\n\n{table(summary(work, runs))}", flush=True)
        tables = {name: summary(name, runs) for name in WORKS if any(one["work"] == name for one in runs)}
        write_results("training", {"tables": tables, "first_look": looked, "runs": runs})


if __name__ == "__main__":
    main()
