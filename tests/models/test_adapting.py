"""LoRA by PEFT's own names: each setting is in effect, and a name that matches nothing is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from eterna.config import LoraSection, ModelSection, config_from_values
from eterna.errors import ConfigError, ModelError, UserError
from eterna.models import add_lora, keeps_base, load_model
from eterna.pipeline.evaluate import evaluate
from eterna.pipeline.train import Trained, train


def lora_of(**settings: Any) -> LoraSection:
    return LoraSection(**{"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], **settings})


def adapted(folder: Path, **settings: Any) -> Any:
    return add_lora(load_model(ModelSection(name=str(folder)), "fp32", 0, False), lora_of(**settings), 0)


def run(values: dict[str, Any], **lora: Any) -> Trained:
    training = {**values["training"], "max_steps": 3, "learning_rate": 1e-2}
    values = {**values, "training": training, "lora": {**values["lora"], **lora}}
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    return trained


def test_rslora_scales_by_the_root_of_the_rank(tiny_model: Path) -> None:
    for use_rslora, scaling in ((False, 8 / 4), (True, 8 / 4**0.5)):
        model = adapted(tiny_model, use_rslora=use_rslora)
        assert {m.scaling["default"] for m in model.modules() if hasattr(m, "lora_A")} == {scaling}


VARIANTS: dict[str, tuple[dict[str, Any], str]] = {
    "rslora": ({"use_rslora": True}, "lora_A"),
    "dora": ({"use_dora": True}, "lora_magnitude_vector"),
    "a whole layer": ({"modules_to_save": ["lm_head"]}, "lm_head"),
    "an untied layer": ({"modules_to_save": ["norm"]}, "norm"),
    "one layer": ({"layers_to_transform": [1]}, "layers.1"),
    "ranks": ({"rank_pattern": {"v_proj": 2}}, "v_proj"),
    "gaussian start": ({"init_lora_weights": "gaussian"}, "lora_A"),
    "a start that changes the base": ({"init_lora_weights": "olora"}, "lora_A"),
}


@pytest.mark.parametrize("case", VARIANTS)
def test_what_a_variant_ends_with_is_saved_and_scored_against_the_same_base(
    run_values: dict[str, Any], case: str
) -> None:
    """At the end the base is the model of step 0; later it is found by switching the adapter off, or loaded again."""
    settings, name = VARIANTS[case]
    trained = run(run_values, **settings)
    again = evaluate(trained.run.path).scores
    before, after = (
        [math.nan if score.value is None else score.value for score in scores] for scores in (trained.scores, again)
    )
    assert after == pytest.approx(before, rel=1e-5, abs=1e-5, nan_ok=True)
    saved = load_file(trained.run.final / "adapter_model.safetensors")
    assert any(name in key for key in saved)
    config = json.loads((trained.run.final / "adapter_config.json").read_text(encoding="utf-8"))
    settings = {key: value for key, value in settings.items() if key != "modules_to_save"}  # tied layers are added
    assert {key: config[key] for key in settings} == settings


def test_a_layer_saved_whole_is_trained(run_values: dict[str, Any], tiny_model: Path) -> None:
    saved = load_file(run(run_values, modules_to_save=["norm"]).run.final / "adapter_model.safetensors")
    before = load_file(tiny_model / "model.safetensors")["model.norm.weight"]
    assert not torch.equal(next(value for key, value in saved.items() if "norm" in key), before)


def test_ranks_and_layers_are_peft_s_own(tiny_model: Path) -> None:
    model = adapted(tiny_model, rank_pattern={"v_proj": 2}, layers_to_transform=[1])
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters() if "lora_A" in name}
    assert {name.split(".layers.")[1][0] for name in shapes} == {"1"}
    assert sorted(shape[0] for shape in shapes.values()) == [2, 4]


KEPT = [{}, {"modules_to_save": ["lm_head"]}, {"use_dora": True}, {"init_lora_weights": "orthogonal"}]  # fmt: skip
CHANGED = [{"init_lora_weights": "olora"}, {"init_lora_weights": "pissa"}, {"layer_replication": [[0, 2], [1, 2]]}]


@pytest.mark.parametrize("settings", KEPT + CHANGED, ids=str)
def test_the_base_is_what_remains_without_the_adapter_or_is_known_not_to(
    tiny_model: Path, settings: dict[str, Any]
) -> None:
    ids = torch.arange(3, 30)[None]
    with torch.no_grad():
        base = load_model(ModelSection(name=str(tiny_model)), "fp32", 0, False)(ids).logits
        model = adapted(tiny_model, **settings)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter += 0.1 if "lora" in name else 1.0
        with model.disable_adapter():
            same = torch.allclose(model(ids).logits, base, atol=1e-6)
    assert same == keeps_base(lora_of(**settings)) == (settings in KEPT)


UNMATCHED: dict[str, tuple[dict[str, Any], str, str]] = {
    "one target of two": ({"target_modules": ["q_proj", "v_projj"]}, "lora.target_modules names 'v_projj'", "'v_proj'"),
    "an expression": ({"target_modules": r".*\.v_projj"}, "lora.target_modules names", "'v_proj'"),
    "a name for an expression": (
        {"target_modules": "q_proj"},
        "lora.target_modules is 'q_proj', which PEFT takes for a pattern",
        "target_modules: [q_proj]",
    ),
    "a broken expression": ({"target_modules": "(q_proj"}, "no regular expression", ""),
    "an exclusion": ({"exclude_modules": ["down_projj"]}, "lora.exclude_modules names 'down_projj'", "'down_proj'"),
    "a layer to save": ({"modules_to_save": ["lm_haed"]}, "lora.modules_to_save names 'lm_haed'", "'lm_head'"),
    "a layer number": ({"layers_to_transform": [0, 7]}, "names layer 7", "0 to 1"),
    "a rank": ({"rank_pattern": {"k_projj": 2}}, "lora.rank_pattern names 'k_projj'", "'k_proj'"),
    "an alpha": ({"alpha_pattern": {"k_projj": 2}}, "lora.alpha_pattern names 'k_projj'", "'k_proj'"),
    "a parameter": ({"target_parameters": ["experts.up"]}, "lora.target_parameters names", ""),
}


@pytest.mark.parametrize("case", UNMATCHED)
def test_a_name_that_matches_nothing_is_refused_with_the_nearest(tiny_model: Path, case: str) -> None:
    settings, message, near = UNMATCHED[case]
    with pytest.raises(ModelError, match=message) as caught:
        adapted(tiny_model, **settings)
    assert near in str(caught.value)


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "refused by PEFT": ({"use_dora": True, "lora_bias": True}, "not supported for DoRA"),
    "a start from data": ({"init_lora_weights": "eva"}, "beside the run file"),
    "a start drawn twice": ({"init_lora_weights": "pissa_niter_4"}, "draws at random again"),
    "an unknown start": ({"init_lora_weights": "lucky"}, "Unknown initialization"),
    "nothing left": ({"exclude_modules": ["q_proj", "v_proj"]}, "PEFT refuses"),
    "layers of all-linear": ({"target_modules": "all-linear", "layers_to_transform": [0]}, "layers_to_transform"),
    "attention that is not there": ({}, "model.attention: flash_attention_2 does not work here"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_work_ends_before_weights_load_or_anything_is_written(
    run_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    import eterna.pipeline.train as module

    monkeypatch.delattr(module, "load_model")
    settings, message = IMPOSSIBLE[case]
    model = {**run_values["model"], **({} if settings else {"attention": "flash_attention_2"})}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message):
        run({**run_values, "model": model}, **settings)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_setting_of_a_newer_peft_is_named(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=rf"lora.use_magic is not a setting of PEFT {peft.__version__}"):
        adapted(tiny_model, use_magic=True)


def test_what_peft_warns_about_is_a_note_of_the_plan(run_values: dict[str, Any]) -> None:
    """A tied output layer that is trained whole; nothing is printed besides."""
    import io

    out = io.StringIO()
    values = {**run_values, "lora": {**run_values["lora"], "modules_to_save": ["lm_head"]}}
    train(config_from_values(values), Console(file=out), dry_run=True)
    assert "note      Model has `tie_word_embeddings=True`" in out.getvalue()
