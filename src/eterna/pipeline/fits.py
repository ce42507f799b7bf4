"""The largest model that fits this machine's memory, by three plain rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MARGIN = 1.2  # activations, adapters and their optimizer on top of frozen weights
FULL, NF4 = 16.0, 0.6  # bytes a parameter: float32 weight, gradient and two moments; 4 bits with their scales
HALF, WHOLE = 2.0, 4.0
CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")
STATUS = Path("/proc/self/status")


def largest_models(torch: Any) -> list[str]:
    """One line per method, with its rule; for the GPU with the most memory, else for the memory that is free."""
    memory, where = free_memory(torch)
    if memory is None:
        return ["unknown: no reading of the free memory"]
    on_gpu = where == "GPU memory"
    held, kind = (HALF, "bf16 or fp16") if on_gpu else (WHOLE, "fp32, as always on a CPU")
    rules = [
        ("full fine-tuning", FULL, f"{FULL:g} bytes a parameter (fp32 with Adam)"),
        ("LoRA", held * MARGIN, f"{held:g} bytes a parameter ({kind}) + 20 %"),
        ("QLoRA", NF4 * MARGIN, f"{NF4:g} bytes a parameter (nf4) + 20 %"),
    ]
    return [
        f"{name} up to {parameters(memory / each)} in {memory / 2**30:.1f} GiB of free {where}: {rule}"
        for name, each, rule in rules
    ]


def free_memory(torch: Any) -> tuple[int | None, str]:
    """Bytes that training can have, and of what: of the GPU with the most, else of the machine."""
    if torch is not None and torch.cuda.is_available():
        return max(torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count())), "GPU memory"
    return available_memory(), "memory"


def parameters(count: float) -> str:
    """`7.2 billion parameters`, `350 million parameters`: rounded down, two digits."""
    size, word = (1e9, "billion") if count >= 1e9 else (1e6, "million")
    value = count / size
    return f"{int(value * 10) / 10:g} {word} parameters" if value < 10 else f"{int(value):,} {word} parameters"


def available_memory() -> int | None:
    """Bytes that new programs can have: what the system has to give, or less where a container says so."""
    found = [memory for memory in (_system_memory(), _container_memory()) if memory is not None]
    return min(found, default=None)


def total_memory() -> int | None:
    """Bytes that the machine has, or less where a container says so."""
    limit = CGROUP / "memory.max"
    most = limit.read_text(encoding="utf-8").strip() if limit.is_file() else ""
    found = [_kibibytes(MEMINFO, "MemTotal"), int(most) if most.isdigit() else None]
    return min((memory for memory in found if memory is not None), default=None)


def resident_memory() -> int:
    """Bytes that this process holds now; 600 MiB, the usual of torch and transformers, where nobody says."""
    return _kibibytes(STATUS, "VmRSS") or 600 * 2**20


def _system_memory() -> int | None:
    return _kibibytes(MEMINFO, "MemAvailable")


def _kibibytes(file: Path, wanted: str) -> int | None:
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        name, _, value = line.partition(":")
        if name == wanted:
            return int(value.split()[0]) * 1024
    return None


def _container_memory() -> int | None:
    """What is left of a cgroup's limit (version 2); None without a limit."""
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if not (limit.is_file() and used.is_file()):
        return None
    most = limit.read_text(encoding="utf-8").strip()
    return max(0, int(most) - int(used.read_text(encoding="utf-8"))) if most.isdigit() else None
