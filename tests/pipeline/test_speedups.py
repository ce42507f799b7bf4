"""Settings that only make a run faster are used, and change nothing in what it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.pipeline.test_settings import run, same, weights


def test_a_compiled_model_trains_the_same(run_values: dict[str, Any], tmp_path: Path) -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    plain = run(run_values, max_steps=2, fast_path="off")
    assert not counters["frames"]
    compiled = run(run_values, max_steps=2, output_dir=str(tmp_path / "c"), torch_compile_backend="eager")
    assert counters["frames"]["ok"] > 0
    one, other = weights(plain.run.final), weights(compiled.run.final)
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_workers_load_the_same_batches(
    run_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.utils.data import dataloader

    started: list[tuple[int, int]] = []
    begin = dataloader._MultiProcessingDataLoaderIter.__init__

    def noted(self: Any, loader: Any) -> None:
        started.append((loader.num_workers, loader.prefetch_factor))
        begin(self, loader)

    monkeypatch.setattr(dataloader._MultiProcessingDataLoaderIter, "__init__", noted)
    plain = run(run_values)
    assert started == []
    workers = run(run_values, output_dir=str(tmp_path / "w"), dataloader_num_workers=1, dataloader_prefetch_factor=2)
    assert set(started) == {(1, 2)}
    assert same(plain.run.final, workers.run.final)
