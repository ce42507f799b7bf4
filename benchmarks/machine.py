"""The machine a figure is from, and the files that figures are kept in."""

from __future__ import annotations

import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Processor, cores, Python and the versions that matter."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "peft"))
    processor = cpu[1] if cpu else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def instructions() -> list[str]:
    """Of the processor, those that matter to matrix products."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return sorted(set(re.findall(r"\b(?:avx2|avx512f|avx512_bf16|amx_bf16)\b", text)))


def read_results(name: str) -> dict[str, Any]:
    """What `write_results` kept under the name; empty where there is nothing."""
    file = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def write_results(name: str, record: dict[str, Any]) -> None:
    """Keep figures in results/NAME.json, with the machine they are from."""
    RESULTS.mkdir(exist_ok=True)
    kept = {"machine": machine(), "instructions": instructions(), **record}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
