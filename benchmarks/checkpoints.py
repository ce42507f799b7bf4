"""What a checkpoint costs: seconds in which training waits for one, for LoRA and full fine-tuning of the 12M shape.

    python benchmarks/checkpoints.py [--saves 12]

A run of the command with a checkpoint at every step; the median counts, and its share of a minute. Beside it, the
time of writing as many bytes to the same disk with one fsync. Writes results/checkpoints.json.
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
from pathlib import Path
from typing import Any

from memory import METHODS, make_model, run_file

SHAPE = "12M"


def timed_run(file: str) -> None:
    """In a process of its own: train as the command does; print the seconds of each checkpoint as JSON."""
    from eterna.cli.main import app
    from eterna.training import EternaTrainer

    seconds, save = [], EternaTrainer._save_checkpoint

    def timed(*given: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        try:
            return save(*given, **named)
        finally:
            seconds.append(time.perf_counter() - begun)

    EternaTrainer._save_checkpoint = timed
    app(["train", file], prog_name="eterna", standalone_mode=False)
    print("\n" + json.dumps(seconds))


def disk_seconds(folder: Path, size: int) -> float:
    """To write so many bytes into one file and have the disk confirm them."""
    begun = time.perf_counter()
    with (folder / "probe").open("wb") as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - begun


def measure(method: str, saves: int) -> dict[str, Any]:
    """One run of `saves` steps, a checkpoint after each."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make_model(folder, SHAPE)
        values = run_file(folder, method)
        values["training"] |= {"max_steps": saves, "save_strategy": "steps", "save_steps": 1, "save_total_limit": 2}
        file = folder / "run.yaml"
        file.write_text(json.dumps(values), encoding="utf-8")
        command = [sys.executable, "-W", "ignore", __file__, "--run", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S603 - ourselves
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        seconds = json.loads(done.stdout.strip().splitlines()[-1])
        kept = sorted(Path(values["training"]["output_dir"]).glob("checkpoint-*"))[-1]
        size = sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())
        disk = statistics.median(disk_seconds(folder, size) for _ in range(5))
    return {"seconds": seconds, "bytes": size, "disk_seconds": disk, "share": statistics.median(seconds) / 60}


def main() -> None:
    """Measure, print and write the results."""
    from machine import write_results

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--saves", type=int, default=12)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        timed_run(asked.run)
        return
    found = {method: measure(method, asked.saves) for method in METHODS}
    write_results("checkpoints", {"shape": SHAPE, "methods": found})
    for method, one in found.items():
        median = statistics.median(one["seconds"])
        size = f"{one['bytes'] / 2**20:.1f} MiB"
        disk = f"the disk alone {one['disk_seconds']:.3f} s"
        print(f"{method:<6}{size:>12}  {median:.3f} s, {one['share']:.2%} of a minute; {disk}")


if __name__ == "__main__":
    main()
