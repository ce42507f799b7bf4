"""QLoRA on a CPU: the base stays in 4 bits and unchanged, the adapter is a plain one."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from eterna.config import ModelSection, config_from_values
from eterna.errors import ModelError, UserError
from eterna.models import NF4_BYTES, load_model
from eterna.pipeline.evaluate import evaluate
from eterna.pipeline.measuring import base_of
from eterna.pipeline.train import Trained, train


@pytest.fixture
def values(run_values: dict[str, Any]) -> dict[str, Any]:
    """All linear layers adapted, so that each 4-bit layer takes part; dropout is on."""
    lora = {**run_values["lora"], "target_modules": "all-linear"}
    training = {**run_values["training"], "num_train_epochs": 4, "learning_rate": 1e-2}
    return {**run_values, "model": {**run_values["model"], "quantization": "nf4"}, "lora": lora, "training": training}


def run(values: dict[str, Any], resume: bool = False) -> Trained:
    trained = train(config_from_values(values), Console(quiet=True), resume)
    assert trained is not None
    return trained


def packed(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name, value) for name, value in model.named_parameters() if type(value).__name__ == "Params4bit")


def fingerprint(model: Any) -> str:
    digest = hashlib.sha256()
    for _, value in packed(model):  # the names change with the adapter
        digest.update(value.numpy().tobytes() + value.quant_state.absmax.float().numpy().tobytes())
    return digest.hexdigest()


def test_it_trains_on_a_base_that_stays_as_it_was(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import eterna.pipeline.train as module

    held: list[Any] = []
    before: list[str] = []

    def keep(*arguments: Any, **settings: Any) -> Any:
        held.append(load_model(*arguments, **settings))
        before.append(fingerprint(held[0]))
        return held[0]

    monkeypatch.setattr(module, "load_model", keep)
    trained = run(values)
    names = dict(packed(held[0]))
    assert len(names) == 2 * 7
    assert {value.dtype for value in names.values()} == {torch.uint8}
    assert not any(value.requires_grad for value in names.values())
    assert [fingerprint(held[0])] == before
    losses = [row["train/loss"] for row in trained.run.metrics() if "train/loss" in row]
    assert losses[-1] < 0.9 * losses[0]
    scores = {(score.metric, score.system): score for score in trained.scores}
    assert scores["perplexity", "difference"].high < 0  # type: ignore[operator]
    assert "|held:nf4,float32|" in scores["perplexity", "tuned"].signature


def test_a_run_that_was_cut_and_resumed_ends_with_the_same_bits(values: dict[str, Any], tmp_path: Path) -> None:
    values["training"] |= {"num_train_epochs": 2}
    whole = run(values)
    cut_values = {**values, "training": {**values["training"], "output_dir": str(tmp_path / "cut")}}
    cut = run(cut_values).run
    for checkpoint in cut.checkpoints()[1:]:
        shutil.rmtree(checkpoint)
    shutil.rmtree(cut.final)
    cut.write_status("running", 2)
    resumed = run(cut_values, resume=True)
    one, other = (load_file(done.run.final / "adapter_model.safetensors") for done in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_final_is_a_plain_adapter_for_either_base(values: dict[str, Any], tiny_model: Path) -> None:
    """Plain PEFT puts it on the 4-bit base, as trained, and on the full-precision base, as `eterna eval` does."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    trained = run(values)
    names = {item.name for item in trained.run.final.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names
    assert "quantization" not in (trained.run.final / "adapter_config.json").read_text(encoding="utf-8")
    ids = torch.arange(3, 40)[None]
    for base in (
        load_model(ModelSection(name=str(tiny_model), quantization="nf4"), "fp32", 0, False),
        AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32),
    ):
        model = PeftModel.from_pretrained(base.eval(), trained.run.final)
        with torch.no_grad():
            tuned = model(ids).logits
            with model.disable_adapter():
                assert not torch.allclose(model(ids).logits, tuned, atol=1e-2)
    scores = {(score.metric, score.system): score for score in evaluate(trained.run.path).scores}
    assert "|held:float32|" in scores["perplexity", "tuned"].signature
    assert scores["perplexity", "difference"].high < 0  # type: ignore[operator]


def test_a_base_loaded_again_is_held_like_the_tuned_model(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bias is trained in place, so the base has to be loaded: in 4 bits beside a 4-bit model, else in full."""
    import eterna.pipeline.measuring as module

    asked: list[str] = []

    def note(section: ModelSection, *arguments: Any, **settings: Any) -> Any:
        asked.append(section.quantization)
        return load_model(section, *arguments, **settings)

    monkeypatch.setattr(module, "load_model", note)
    values["lora"] |= {"bias": "all"}
    config = config_from_values(values).config
    with base_of(config, load_model(config.model, "fp32", 0, False)):
        pass
    evaluate(run(values).run.path)
    assert asked == ["nf4", "nf4", "none"]  # by hand, at the end of training, by eval


def test_the_plan_counts_4_bits_and_nothing_else_is_printed(
    values: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    from eterna.pipeline.libraries import quiet_libraries
    from eterna.pipeline.plan import make_plan

    quiet_libraries()
    plan = make_plan(config_from_values(values))
    linear = 2 * sum(p.numel() for n, p in load_model(ModelSection(name=values["model"]["name"]), "fp32", 0, True).named_parameters() if "layers.0." in n and "proj" in n)  # fmt: skip
    adapters = plan.size.trained * 4
    assert plan.size.weights == pytest.approx(linear * NF4_BYTES + (plan.size.parameters - linear) * 4 + adapters)
    out = io.StringIO()
    train(config_from_values(values), Console(file=out, width=200), dry_run=True)
    assert "QLoRA r=4 on nf4" in out.getvalue()
    run({**values, "training": {**values["training"], "max_steps": 1, "optim": "paged_adamw_8bit"}})
    assert capfd.readouterr() == ("", "")


def absent(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("version", "message"), [(absent, "which is not installed"), (lambda name: "0.49.2", "0.50, here is 0.49.2")]
)
def test_a_missing_or_old_bitsandbytes_is_said_before_weights_load(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: Any, message: str
) -> None:
    import eterna.models.quantizing as quantizing
    import eterna.pipeline.train as module

    monkeypatch.delattr(module, "load_model")
    found = metadata.version
    fake = lambda name: version(name) if name == "bitsandbytes" else found(name)  # noqa: E731
    monkeypatch.setattr(quantizing.metadata, "version", fake)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message) as caught:
        run(values)
    assert 'pip install "eterna[quantization]"' in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_layer_in_4_bits_cannot_be_saved_whole(values: dict[str, Any]) -> None:
    values["lora"] |= {"modules_to_save": ["lm_head", "down_proj"], "target_modules": ["q_proj"]}
    with pytest.raises(ModelError, match=r"names 'down_proj', which model\.quantization holds in 4 bits"):
        run(values)


def test_a_model_that_is_quantized_already_is_refused(values: dict[str, Any], tmp_path: Path) -> None:
    copy = tmp_path / "packed"
    load_model(ModelSection(**values["model"]), "fp32", 0, False).save_pretrained(copy)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(Path(values["model"]["name"]) / name, copy)
    with pytest.raises(ModelError, match="is quantized already"):
        run({**values, "model": {"name": str(copy)}})
