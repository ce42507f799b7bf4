"""About how long a training will take, from its multiplications and a rate measured on the spot.

A token costs 2 operations a weight forward and 2 backward, 2 more where the weight is trained (Kaplan et al. 2020,
arXiv:2001.08361, section 2.1, with frozen weights left out). No run reaches the rate of plain matrix products: real
ones took 1.4 to 3.8 times as long, so QUICK to SLOW is said. The first steps tell better, and the
progress lines follow them.
"""

from __future__ import annotations

import time
from typing import Any

from eterna.pipeline.sizing import Size

QUICK, SLOW = 1.2, 5.0
SIDE = 512
"""Rows and columns of the matrices whose product is timed."""
PATIENCE = 0.2


def forecast_seconds(size: Size, tokens: float, device: Any, precision: str) -> tuple[float, float]:
    """The least and the most that training on so many tokens is likely to take, evaluations apart."""
    operations = tokens * (4.0 * size.parameters + 2.0 * size.trained)
    if not size.trained:
        return 0.0, 0.0
    seconds = operations / matrix_rate(device, precision)
    return QUICK * seconds, SLOW * seconds


def matrix_rate(device: Any, precision: str) -> float:
    """Operations a second of matrix products; takes about PATIENCE seconds."""
    import torch

    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    side = SIDE if device.type == "cpu" else 8 * SIDE
    left, right = (torch.ones((side, side), dtype=kind, device=device) for _ in range(2))
    (left @ right).sum().item()
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < PATIENCE:
        (left @ right).sum().item()
        count += 1
    return 2.0 * side**3 * count / (time.perf_counter() - begun)


def describe_time(seconds: tuple[float, float]) -> str:
    """One line that says that it is rough."""
    least, most = (max(0.1, second / 60) for second in seconds)
    return f"roughly {least:,.1f} to {most:,.1f} min, evaluations apart; the first steps tell better"
