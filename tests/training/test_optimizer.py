"""Every optimizer that transformers knows either trains here or is refused before the model is loaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import Trainer, TrainerCallback
from transformers.trainer_optimizer import _BITSANDBYTES_OPTIMIZERS

from eterna.config import TrainingSection, config_from_values
from eterna.config.field_tables import OPTIMIZERS
from eterna.data import Encoded
from eterna.errors import ConfigError
from eterna.pipeline.train import train
from eterna.training import EternaTrainer, build_arguments, probe_optimizer

assert find_spec("bitsandbytes"), "the dev extra brings bitsandbytes"
OF_TORCH = {"adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adagrad", "rmsprop"}
RUNS_HERE = OF_TORCH | {"muon"} | {name.value for name in _BITSANDBYTES_OPTIMIZERS}
# What each of the others needs, as its message must name it.
NEEDED = {
    "galore": "galore_torch", "lomo": "lomo_optim", "adalomo": "lomo_optim", "apollo": "apollo_torch",
    "adamw_torch_4": "torchao", "adamw_torch_8": "torchao", "adamw_torch_xla": "torch_xla", "adamw_torch_npu": "torch_npu",
    "adamw_anyprecision": "torchdistx", "grokadamw": "grokadamw", "schedule_free": "schedulefree", "stable_adamw": "torch-optimi",
}  # fmt: skip


def arguments(folder: Path, **settings: Any) -> Any:
    return build_arguments(TrainingSection(output_dir=str(folder), **settings), "fp32", False)


@pytest.mark.parametrize("name", sorted(RUNS_HERE & set(OPTIMIZERS)))
@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")
def test_one_step_changes_the_weights(tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path, name: str) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    made = arguments(tmp_path, optim=name, max_steps=1, learning_rate=1e-2, save_strategy="no")
    assert probe_optimizer(made, model)[0] >= 0
    before = model.model.layers[0].mlp.up_proj.weight.detach().clone()
    data = [Encoded("a", tuple(range(3, 30)), (1.0,) * 27, 1)]
    EternaTrainer(model, made, tiny_tokenizer, data, [1.0], None).train()
    after = model.model.layers[0].mlp.up_proj.weight
    assert torch.isfinite(after).all()
    assert not torch.equal(before, after)


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - RUNS_HERE))
def test_a_missing_package_is_named(tmp_path: Path, name: str) -> None:
    package = next(package for start, package in NEEDED.items() if name.startswith(start))
    with pytest.raises(ConfigError, match=f"training.optim: {name} does not work here: .*{package}"):
        probe_optimizer(arguments(tmp_path, optim=name, optim_target_modules="all-linear"), None)


def test_nothing_is_loaded_or_written_for_a_missing_package(
    run_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import eterna.pipeline.train as module

    monkeypatch.delattr(module, "load_model")
    values = {**run_values, "training": {**run_values["training"], "optim": "grokadamw"}}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="install grokadamw"):
        train(config_from_values(values), Console(quiet=True))
    assert sorted(tmp_path.rglob("*")) == before


def test_wrong_settings_of_an_optimizer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.optim: sgd"):
        probe_optimizer(arguments(tmp_path, optim="sgd", optim_args="momentum=much"), None)


class Silent(torch.optim.SGD):
    """Fails as an optimizer of another package may: without a word."""

    def step(self, closure: Any = None) -> Any:
        raise NotImplementedError


class ScheduleFree(torch.optim.SGD):
    """Refuses to step before `train()`, as the optimizers of schedulefree do."""

    trains = False

    def train(self) -> None:
        self.trains = True

    def step(self, closure: Any = None) -> Any:
        if not self.trains:
            raise ValueError("Optimizer was not in train mode when step is called.")
        return super().step(closure)


def offer(monkeypatch: pytest.MonkeyPatch, kind: type[torch.optim.Optimizer]) -> None:
    monkeypatch.setattr(Trainer, "get_optimizer_cls_and_kwargs", lambda *given: (kind, {"lr": 0.1}))


def test_an_optimizer_that_fails_without_a_word_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offer(monkeypatch, Silent)
    with pytest.raises(ConfigError, match="sgd does not work here: NotImplementedError"):
        probe_optimizer(arguments(tmp_path, optim="sgd"), None)


def test_a_schedule_free_optimizer_is_told_that_training_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(monkeypatch, ScheduleFree)
    assert probe_optimizer(arguments(tmp_path, optim="sgd"), None) == (0.0, [])


def test_the_state_of_each_parameter_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two float32 moments; none; two 8-bit moments with one constant for each block of 256."""
    from bitsandbytes.optim import GlobalOptimManager

    # It remembers the embeddings of earlier trainers in this process by their place in the list of parameters.
    monkeypatch.setattr(GlobalOptimManager, "_instance", None)
    for name, size in (("adamw_torch", 8.0), ("sgd", 0.0), ("adamw_bnb_8bit", 2.0)):
        assert probe_optimizer(arguments(tmp_path, optim=name), None)[0] == pytest.approx(size, abs=0.3)


def test_what_the_package_warns_about_is_a_note(tmp_path: Path) -> None:
    _, notes = probe_optimizer(arguments(tmp_path, optim="paged_adamw_8bit"), None)
    assert notes == ["Paged optimizers are not supported on CPU. Falling back to non-paged optimizer behavior."]


def test_muon_has_the_matrices_of_the_layers_and_adamw_the_rest(
    tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    """One step of each part is the step of torch's own optimizer for it."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    kept: dict[str, Any] = {}
    settings = {"max_steps": 1, "learning_rate": 1e-2, "weight_decay": 0.1, "save_strategy": "no"}
    made = arguments(tmp_path, optim="muon", max_grad_norm=0.0, **settings)

    class Keep(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, *given: Any, **rest: Any) -> None:
            kept.update({name: weight.grad.clone() for name, weight in model.named_parameters()})

    data = [Encoded("a", tuple(range(3, 30)), (1.0,) * 27, 1)]
    trainer = EternaTrainer(model, made, tiny_tokenizer, data, [1.0], None, [Keep()])
    trainer.train()
    matrices = {name for name, weight in before.items() if weight.ndim == 2 and "layers" in name}
    assert matrices and matrices < before.keys()
    for name, weight in model.named_parameters():
        alone = torch.nn.Parameter(before[name].clone())
        alone.grad = kept[name]
        decay = 0.1 if name in trainer.get_decay_parameter_names(model) else 0.0
        one = (
            torch.optim.Muon([alone], lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
            if name in matrices
            else torch.optim.AdamW([alone], lr=1e-2, weight_decay=decay)
        )
        one.step()
        torch.testing.assert_close(weight, alone, rtol=1e-4, atol=1e-6)
    states = {name: set(trainer.optimizer.state[weight]) for name, weight in model.named_parameters()}
    assert {name for name, keys in states.items() if keys == {"momentum_buffer"}} == matrices


def test_the_bytes_of_muon_are_those_it_keeps(tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    made = arguments(tmp_path, optim="muon", max_steps=1, save_strategy="no")
    told, notes = probe_optimizer(made, model)
    trainer = EternaTrainer(
        model, made, tiny_tokenizer, [Encoded("a", tuple(range(3, 30)), (1.0,) * 27, 1)], [1.0], None
    )
    trainer.train()
    held = [value for state in trainer.optimizer.state.values() for name, value in state.items() if name != "step"]
    kept = sum(value.numel() * value.element_size() for value in held)
    assert told * model.num_parameters() == pytest.approx(kept)
    assert notes == []


@pytest.mark.parametrize("given", [{"optim_args": "momentum=0.9"}, {"fsdp": True}])
def test_muon_refuses_what_it_would_not_heed(run_values: dict[str, Any], given: dict[str, Any]) -> None:
    name = next(iter(given))
    with pytest.raises(ConfigError, match=f"training.{name} is given, but training.optim: muon does not go with it"):
        config_from_values({**run_values, "training": {**run_values["training"], "optim": "muon", **given}})
