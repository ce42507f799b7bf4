"""The kernels of kernels.cpp: built once with the machine's own compiler, kept in the user's cache, loaded by ctypes.

Where there is no compiler, or ETERNA_KERNELS is `off`, there are none: torch's operations do the same work then.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("kernels.cpp")
FLAGS = ["-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-std=c++17", "-shared", "-fPIC"]
COMPILERS = ("c++", "g++", "clang++")
P, N, F, K = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_int
SIGNATURES = {
    "add_norm": (P, P, P, F, F, N, N, P, P, P),
    "norm_backward": (P, P, P, P, F, P, N, N, P, P),
    "norm_weight": (P, P, P, N, N, P),
    "pack": (P, P, P, P, P, N, N, N, P),
    "unpack": (P, P, P, P, P, N, N, N, P),
    "softmax": (P, N, N, N, N, N, N, F),
    "softmax_backward": (P, P, N, N, N, N, N, N, F),
    "gated": (P, P, K, N, N, P),
    "gated_backward": (P, P, P, K, N, N, P, P),
    "dropout": (P, N, N, P, ctypes.c_uint32, F, K, P),
    "cross_entropy": (P, P, P, F, N, N, P),
}


@cache
def find_kernels(half: bool) -> ctypes.CDLL | None:
    """The library for bfloat16 (`half`) or float32 activations; None where there is none. Asked once in a process."""
    if os.environ.get("ETERNA_KERNELS") == "off":
        return None
    compiler = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if compiler is None or platform.system() != "Linux":
        return None
    command = [compiler, *FLAGS, *(["-DHALF"] if half else []), str(SOURCE)]
    built = _cache() / f"kernels-{_key(command)}.so"
    try:
        if not built.is_file():
            _build(command, built)
        library = ctypes.CDLL(str(built))
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    for name, types in SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = types, None
    return library


def _build(command: list[str], to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        made = Path(folder) / to.name
        whole = [*command, "-o", str(made), *_openmp()]
        subprocess.run(whole, check=True, capture_output=True, timeout=120)  # noqa: S603 - a compiler found by name
        made.replace(to)


def _openmp() -> list[str]:
    """torch's own OpenMP library, so that both share one pool of threads: two pools wait for each other."""
    import torch

    found = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    return [f"-L{found[0].parent}", f"-l:{found[0].name}"] if found else []


def _key(command: list[str]) -> str:
    """Another compiler, source, processor or torch is another library."""
    import torch

    version = subprocess.run([command[0], "--version"], capture_output=True, check=False).stdout  # noqa: S603
    parts = [SOURCE.read_bytes(), " ".join(command).encode(), version, _processor().encode(), torch.__file__.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _processor() -> str:
    """What the kernels are compiled for; empty where the system does not say."""
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    told = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in text.splitlines() if line.startswith(told)}))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "eterna"
