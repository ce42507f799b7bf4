"""Two processes compute the gradients of one, whatever an epoch's last step holds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from tests.training.gradients import COUNTS, Gradients, epoch_gradients
from tests.training.test_trainer import worst_error
from torch.utils.data import BatchSampler

from eterna.config import TrainingSection
from eterna.data.batches import FILLER
from eterna.errors import ConfigError
from eterna.training.arguments import check_sharding
from eterna.training.order import EpochOrder


@pytest.fixture(scope="module")
def of_two_processes(
    tiny_model: Path, launch: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[int, str], list[Gradients]]:
    folder = tmp_path_factory.mktemp("gradients")
    done = launch("-m", "tests.training.gradients", str(tiny_model), str(folder))
    assert done.returncode == 0, done.stderr
    found: dict[tuple[int, str], list[Gradients]] = torch.load(folder / "gradients.pt")
    return found


@pytest.mark.parametrize("count", COUNTS)
def test_two_processes_have_the_gradients_of_one(
    of_two_processes: dict[tuple[int, str], list[Gradients]], tiny_model: Path, tmp_path: Path, count: int
) -> None:
    alone = epoch_gradients(tiny_model, tmp_path, count, batch=4)
    both = of_two_processes[count, "EternaTrainer"]
    assert len(alone) == len(both) == -(-count // 8)
    assert max(worst_error(one, two) for one, two in zip(alone, both, strict=True)) <= 1e-5


@pytest.mark.parametrize("count", COUNTS)
def test_a_mean_per_process_would_be_noticed(
    of_two_processes: dict[tuple[int, str], list[Gradients]], tiny_model: Path, tmp_path: Path, count: int
) -> None:
    alone = epoch_gradients(tiny_model, tmp_path, count, batch=4)
    wrong = of_two_processes[count, "LocalMean"]
    assert worst_error(alone[0], wrong[0]) > 1e-2


def shares(order: EpochOrder, batch: int, processes: int) -> list[list[list[int]]]:
    """What accelerate hands to each process."""
    batches = BatchSampler(order, batch, drop_last=False)
    return [list(BatchSamplerShard(batches, processes, number)) for number in range(processes)]


@pytest.mark.parametrize("count", [1, 8, 9, 11, 13])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_an_epoch_without_loss_or_repetition(count: int, processes: int) -> None:
    order = EpochOrder([f"e{n}" for n in range(count)], [1.0] * count, seed=7, share=2 * processes)
    handed = shares(order, 2, processes)
    seen = [position for own in handed for batch in own for position in batch if position != FILLER]
    assert sorted(seen) == list(range(count))
    assert {len(own) for own in handed} == {-(-count // (2 * processes))}


def test_without_fillers_examples_would_be_repeated() -> None:
    order = EpochOrder([f"e{n}" for n in range(9)], [1.0] * 9, seed=7)
    handed = shares(order, 2, 2)
    assert len([position for own in handed for batch in own for position in batch]) > 9


def test_a_signal_to_one_process_stops_both_at_the_same_step(launch: Any) -> None:
    done = launch("-m", "tests.training.stopping")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["process 0 True True 143", "process 1 True True 143"]


def arguments_on(device: str, mode: str) -> Any:
    return SimpleNamespace(device=torch.device(device), parallel_mode=SimpleNamespace(value=mode))


def test_sharding_in_a_single_process_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training.fsdp is true.*this run is a single one\n.*torchrun"):
        check_sharding(TrainingSection(fsdp=True), arguments_on("cuda", "not_distributed"))


def test_sharding_over_several_gpus_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    check_sharding(TrainingSection(fsdp=True), arguments_on("cuda", "distributed"))
