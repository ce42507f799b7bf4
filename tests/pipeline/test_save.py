"""eterna.save: one folder that plain transformers and PEFT load, from whatever holds a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import eterna
from eterna.config import config_from_values
from eterna.errors import ModelError, RunError, UserError
from eterna.pipeline.train import Trained, train


def trained_by(values: dict[str, Any], **training: Any) -> Trained:
    values = {**values, "training": {**values["training"], "max_steps": 2, **training}}
    trained = train(config_from_values(values), Console(quiet=True))
    assert trained is not None
    return trained


@pytest.fixture
def trained(run_values: dict[str, Any]) -> Trained:
    return trained_by(run_values)


def loaded(folder: Path) -> Any:
    """The model as plain PEFT or transformers loads it, its tokenizer along."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adapter = (folder / "adapter_config.json").is_file()
    model = (AutoPeftModelForCausalLM if adapter else AutoModelForCausalLM).from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    stop = model.generation_config.eos_token_id
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in (stop if isinstance(stop, list) else [stop])
    return model


def test_a_checkpoint_becomes_a_model_without_the_trainer_s_files(trained: Trained, tmp_path: Path) -> None:
    from transformers import GenerationConfig

    source = trained.run.path / "checkpoint-2"
    assert (source / "optimizer.pt").is_file()
    folder = eterna.save(source, tmp_path / "mine")
    assert folder == tmp_path / "mine"
    names = {path.name for path in folder.iterdir()}
    kept = {"adapter_config.json", "adapter_model.safetensors", "generation_config.json", "tokenizer.json"}
    assert kept <= names
    assert not [name for name in names if name.endswith((".pt", ".pth", ".bin", ".md")) or "trainer" in name]
    one, other = load_file(source / "adapter_model.safetensors"), load_file(folder / "adapter_model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)
    loaded(folder)
    assert GenerationConfig.from_pretrained(folder).max_new_tokens == 8


def test_a_full_checkpoint_is_saved_as_well(run_values: dict[str, Any], tmp_path: Path) -> None:
    values = {key: value for key, value in run_values.items() if key != "lora"}
    source = trained_by(values).run.path / "checkpoint-2"
    loaded(eterna.save(str(source), tmp_path / "mine"))


def test_a_run_is_saved_by_its_folder_or_its_result(trained: Trained, tmp_path: Path) -> None:
    for number, source in enumerate([trained, trained.run.path, str(trained.run.path)]):
        folder = eterna.save(source, tmp_path / f"mine-{number}")
        for name in ("adapter_model.safetensors", "generation_config.json"):
            assert (folder / name).read_bytes() == (trained.run.final / name).read_bytes()


def test_an_adapter_on_a_base_without_a_name_is_saved(tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tiny_model))
    base.name_or_path = base.config._name_or_path = None
    model = get_peft_model(base, LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    first = eterna.save(model, tmp_path / "a", tokenizer=tiny_tokenizer)
    (first / "generation_config.json").unlink()
    again = eterna.save(first, tmp_path / "b", tokenizer=tiny_tokenizer)
    one, other = (load_file(folder / "adapter_model.safetensors") for folder in (first, again))
    assert one.keys() == other.keys()


def test_a_model_in_memory_is_saved_with_its_tokenizer(trained: Trained, tmp_path: Path) -> None:
    loaded(eterna.save(trained.model, tmp_path / "a", tokenizer=trained.tokenizer))
    loaded(eterna.save(eterna.chat(trained.run.path), tmp_path / "b"))
    with pytest.raises(UserError, match="saved with its tokenizer"):
        eterna.save(trained.model, tmp_path / "c")


def test_a_trainer_is_saved(tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    trainer = eterna.Trainer(
        model, eterna.TrainingArguments(str(tmp_path / "out")), [{"text": "a b"}], processing_class=tiny_tokenizer
    )
    loaded(eterna.save(trainer, tmp_path / "mine"))


def test_a_relative_base_is_found_from_any_folder(
    trained: Trained, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = trained.run.path / "checkpoint-2" / "adapter_config.json"
    text = adapter.read_text(encoding="utf-8")
    adapter.write_text(text.replace(str(tiny_model), tiny_model.name), encoding="utf-8")
    monkeypatch.chdir(tiny_model.parent)
    folder = eterna.save(trained.run.path / "checkpoint-2", tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    loaded(folder)


def test_a_folder_in_use_is_left_alone(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    loaded(eterna.save(trained, tmp_path / "mine"))
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="is not empty"):
        eterna.save(trained, tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").is_file()


def test_an_unfinished_run_names_its_newest_checkpoint(trained: Trained, tmp_path: Path) -> None:
    trained.run.final.rename(tmp_path / "gone")
    with pytest.raises(RunError, match="checkpoint-2"):
        eterna.save(trained.run.path, tmp_path / "mine")


def test_what_holds_no_model_is_refused(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        eterna.save(tmp_path, tmp_path / "mine")
    with pytest.raises(UserError, match="cannot save a int"):
        eterna.save(3, tmp_path / "mine")
    for path in (trained.run.path / "checkpoint-2").glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match="holds no tokenizer"):
        eterna.save(trained.run.path / "checkpoint-2", tmp_path / "mine")
    eterna.save(trained.run.path / "checkpoint-2", tmp_path / "mine", tokenizer=trained.tokenizer)


def test_a_tokenizer_without_a_chat_template_stops_at_the_end_of_text(tiny_tokenizer: Any, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from eterna.pipeline.save import find_stop

    plain = SimpleNamespace(chat_template=None, eos_token_id=7)
    assert find_stop(plain, SimpleNamespace(eos_token_id=[7, 9])) == [7, 9]
    assert find_stop(plain, SimpleNamespace(eos_token_id=None)) == [7]


def test_the_guide_s_two_lines_work_after_train(trained: Trained, tmp_path: Path) -> None:
    model, tokenizer = trained.model, trained.tokenizer
    model.save_pretrained(tmp_path / "my_fine_tuned_model")
    tokenizer.save_pretrained(tmp_path / "my_fine_tuned_model")
    assert loaded(tmp_path / "my_fine_tuned_model")
    assert trained.model is model


def test_the_module_s_own_example_holds(trained: Trained) -> None:
    assert {name for name in ("load_config", "train", "evaluate", "save", "chat") if f"eterna.{name}(" in str(eterna.__doc__)} == {"load_config", "train", "evaluate", "save", "chat"}  # fmt: skip
    answer, dropped = eterna.chat(trained.run.path).reply("Who keeps the lamps?")
    assert answer.tokens > 0
    assert dropped == 0


def test_an_unknown_name_is_no_part_of_the_module() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Trainr'"):
        _ = eterna.Trainr
