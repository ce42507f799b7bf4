"""What fits is computed by the rules that are shown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from eterna.pipeline import fits

GIB = 2**30


def gpus(*free: float) -> SimpleNamespace:
    cuda = SimpleNamespace(
        is_available=lambda: bool(free),
        device_count=lambda: len(free),
        mem_get_info=lambda number: (int(free[number]), int(free[number])),
    )
    return SimpleNamespace(cuda=cuda)


def test_the_gpu_with_the_most_memory_decides() -> None:
    full, lora, nf4 = fits.largest_models(gpus(1e9, 24e9))
    assert full.startswith("full fine-tuning up to 1.5 billion parameters")
    assert lora.startswith("LoRA up to 10 billion parameters")
    assert "2 bytes a parameter (bf16 or fp16) + 20 %" in lora
    assert nf4.startswith("QLoRA up to 33 billion parameters")


def test_without_a_gpu_the_base_under_lora_is_held_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits, "available_memory", lambda: int(9.6e9))
    full, lora, _ = fits.largest_models(gpus())
    assert full.startswith("full fine-tuning up to 600 million parameters")
    assert lora.startswith("LoRA up to 2 billion parameters")
    assert "4 bytes a parameter" in lora


def test_a_container_s_limit_goes_before_the_machine_s_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 64000 kB\nMemAvailable:   32000 kB\n", encoding="utf-8")
    monkeypatch.setattr(fits, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(fits, "CGROUP", tmp_path)
    assert fits.available_memory() == 32000 * 1024
    (tmp_path / "memory.max").write_text("9000000\n", encoding="utf-8")
    (tmp_path / "memory.current").write_text("4000000\n", encoding="utf-8")
    assert fits.available_memory() == 5000000
    (tmp_path / "memory.max").write_text("max\n", encoding="utf-8")
    assert fits.available_memory() == 32000 * 1024


def test_a_system_that_says_nothing_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fits, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(fits, "CGROUP", tmp_path)
    assert fits.available_memory() is None
    assert fits.largest_models(None) == ["unknown: no reading of the free memory"]
