"""LoRA on a 7 B Mistral shape with random bfloat16 weights on one GPU: Eterna, its peers, and the card's own limit.

    python benchmarks/gpu.py [--rounds 2] [--examples 400] [--shape 7B]

Tokens per second of each system (runs in turns, medians), the share of the measured rate of bfloat16 matrix products,
and peak memory. TRL and the systems with Liger run where trl and liger-kernel are installed. Writes results/gpu.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time

import torch
from machine import write_results
from one_training import ON_GPU
from workload import SHAPES

from training import run_one

SYSTEMS = ["eterna", "eterna-plain", "hf-half-grouped", "hf-half-grouped-liger", "trl-padded-liger", "trl-packed-liger"]
SIZE = 8192


def matrix_rate(rounds: int = 20) -> float:
    """Floating-point operations per second of a product of two square bfloat16 matrices."""
    device = "cuda" if ON_GPU else "cpu"
    size = SIZE if ON_GPU else 1024
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in "ab")
    seconds = []
    for _ in range(rounds):
        wait()
        begun = time.perf_counter()
        left @ right
        wait()
        seconds.append(time.perf_counter() - begun)
    return 2 * size**3 / statistics.median(seconds)


def wait() -> None:
    """Until the GPU is done."""
    if ON_GPU:
        torch.cuda.synchronize()


def operations(shape: str) -> float:
    """Of a token in LoRA training, without attention: each frozen weight is met forward and on the way back."""
    one = SHAPES[shape]
    hidden, inner, heads = one["hidden_size"], one["intermediate_size"], one["num_attention_heads"]
    shared = one["num_key_value_heads"] / heads
    layer = hidden * hidden * (2 + 2 * shared) + 3 * hidden * inner
    return 4.0 * (one["num_hidden_layers"] * layer + hidden * one["vocab_size"])


def main() -> None:
    """All runs, the results file, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="7B")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--examples", type=int, default=400)
    asked = parser.parse_args()
    there = {"trl": importlib.util.find_spec("trl"), "liger": importlib.util.find_spec("liger_kernel") and ON_GPU}
    systems = [one for one in SYSTEMS if all(there[name] for name in there if name in one)]
    rate, runs = matrix_rate(), []
    for number in range(asked.rounds):
        for system in systems:
            runs.append({"round": number, **run_one(system, asked.shape, "lora", "chat", asked.examples)})
            print(f"round {number + 1} {system}: {runs[-1]['tokens_per_second']:,.0f} tokens/s", file=sys.stderr)
    table = [
        {
            "system": system,
            "tokens_per_second": (speed := statistics.median(one["tokens_per_second"] for one in own)),
            "share": speed * operations(asked.shape) / rate,
            "memory": statistics.median(one["peak"] for one in own),
        }
        for system in systems
        if (own := [one for one in runs if one["system"] == system])
    ]
    card = torch.cuda.get_device_name() if ON_GPU else "no GPU: a trial of the script"
    if ON_GPU:
        write_results("gpu", {"card": card, "matrix_rate": rate, "shape": asked.shape, "table": table, "runs": runs})
    print(f"{card}: {rate / 1e12:.2f} TFLOP/s in bfloat16 products")
    for row in table:
        made = f"{row['tokens_per_second']:>9,.0f} tokens/s {row['share']:>6.1%} {row['memory'] / 2**30:>7.2f} GiB"
        print(f"{row['system']:<24}{made}")


if __name__ == "__main__":
    main()
