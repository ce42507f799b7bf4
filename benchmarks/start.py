"""How long the first answer takes: `eterna --help`, and the first optimizer step of `eterna demo`.

    python benchmarks/start.py [--rounds 5]

Each round starts new processes; the median counts. Time that the untrained model spends on its probe replies before the
first step is left out of the demo's figure and given beside it. Writes benchmarks/results/start.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from machine import write_results


def first_step(started: float) -> None:
    """In a process of its own: run the demo as its command does, and leave after the first optimizer step."""
    from eterna.cli import main
    from eterna.pipeline import measuring

    spent, answer = 0.0, measuring.answer_items

    def stop(self: Any, *given: Any, **named: Any) -> None:
        print(json.dumps({"seconds": time.time() - started - spent, "probes": spent}), flush=True)
        os._exit(0)

    def timed(*given: Any, **named: Any) -> Any:
        nonlocal spent
        begun = time.time()
        replies = answer(*given, **named)
        from transformers import TrainerCallback  # not before: the command decides when its libraries are loaded

        TrainerCallback.on_step_end = stop
        spent += time.time() - begun
        return replies

    measuring.answer_items = timed
    sys.argv = ["eterna", "demo", "--json"]
    main.main()


def seconds_of(command: list[str]) -> float:
    begun = time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    return time.time() - begun


def demo_once() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--first-step-since", str(time.time())]
        ran = subprocess.run(command, check=True, capture_output=True, cwd=folder)  # noqa: S603 - this very script
    found: dict[str, float] = json.loads(ran.stdout.decode().strip().splitlines()[-1])
    return found


def measure(rounds: int) -> dict[str, Any]:
    """Medians over `rounds`, after one that warms the file cache."""
    help_command = [sys.executable, "-m", "eterna", "--help"]
    demo_once(), seconds_of(help_command)
    helps, demos = [], []
    for _ in range(rounds):
        helps.append(seconds_of(help_command))
        demos.append(demo_once())
    return {
        "rounds": rounds,
        "help_seconds": helps,
        "first_step_seconds": [one["seconds"] for one in demos],
        "probe_seconds": [one["probes"] for one in demos],
    }


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--first-step-since", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.first_step_since:
        first_step(asked.first_step_since)
    found = measure(asked.rounds)
    write_results("start", found)
    for name in ("help_seconds", "first_step_seconds", "probe_seconds"):
        print(f"{name:20} median {statistics.median(found[name]):.2f}")


if __name__ == "__main__":
    main()
