"""Training speed and memory of Eterna beside its peers, on the same examples: one table a work.

    python benchmarks/training.py [--work WORK ...] [--rounds 2] [--examples 1000]

WORK: chat-lora, chat-full, long-lora, 135m-lora. Each run is a process of its own; systems take turns (A B A B), and
medians over the rounds are given. Peers run in this environment: transformers, and TRL where it is installed. Writes
results/training.json beside this file, where works that were not asked for keep their runs, and prints the tables.
The machine should be idle: a busy core slows torch several times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import machine, read_results, write_results

HERE = Path(__file__).parent
WORKS: dict[str, tuple[str, str, str]] = {  # shape, method, kind of examples
    "chat-lora": ("12M", "lora", "chat"),
    "chat-full": ("12M", "full", "chat"),
    "long-lora": ("12M", "lora", "long"),
    "135m-lora": ("135M", "lora", "chat"),
}
SYSTEMS = {
    "eterna": "Eterna, fast path, bf16",
    "eterna-plain": "Eterna, plain path, bf16",
    "hf-fp32": "HF Trainer, fp32",
    "hf-bf16": "HF Trainer, bf16 autocast",
    "hf-bf16-grouped": "HF Trainer, bf16 autocast, grouped by length",
    "hf-half-grouped": "HF Trainer, base in bf16, grouped by length",
    "trl-packed": "TRL SFTTrainer, bf16, packed",
    "trl-padded": "TRL SFTTrainer, bf16",
}
FULL_ONLY_IN_FLOAT32 = {"hf-half-grouped"}  # pure bfloat16 weights, trained, are another method


def run(system: str, work: str, count: int) -> dict[str, Any]:
    """One process, for one of WORKS. Raises CalledProcessError with what it said."""
    return run_one(system, *WORKS[work], count)


def run_one(system: str, shape: str, method: str, kind: str, count: int) -> dict[str, Any]:
    """One process. Raises CalledProcessError with what it said."""
    command = [sys.executable, "-W", "ignore", str(HERE / "one_training.py"), system, shape, method, kind, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        done.check_returncode()
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def kept(asked: list[str]) -> list[dict[str, Any]]:
    """Earlier runs of other works, where they were made on this machine with these versions."""
    before = read_results("training")
    if not before or before["machine"] != machine():
        return []
    return [one for one in before["runs"] if one["work"] not in asked]


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
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--examples", type=int, default=1000)
    asked = parser.parse_args()
    runs = kept(asked.work)
    for work in asked.work:
        for number in range(asked.rounds):
            for system in asked.systems:
                if WORKS[work][1] == "full" and system in FULL_ONLY_IN_FLOAT32:
                    continue
                runs.append({"work": work, "round": number, **run(system, work, asked.examples)})
                speed = runs[-1]["tokens_per_second"]
                print(f"{work} round {number + 1} {system}: {speed:,.0f} tokens/s", file=sys.stderr, flush=True)
        print(f"\n{work}\n\n{table(summary(work, runs))}", flush=True)
    tables = {work: summary(work, runs) for work in WORKS if any(one["work"] == work for one in runs)}
    write_results("training", {"tables": tables, "runs": runs})


if __name__ == "__main__":
    main()
