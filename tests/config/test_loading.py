"""Strict keys, nearest names, places, precedence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eterna.config import LoadedConfig, config_from_values, json_schema, load_config
from eterna.config.field_tables import FIELD_TABLES
from eterna.config.reading import parse_yaml
from eterna.config.sections import RunConfig
from eterna.errors import ConfigError, UserError

GOOD = """\
name: poe-voice
model: {name: some/model}
lora:
  r: 8
  target_modules: [q_proj, v_proj]
data:
  train: [{path: a.jsonl}]
  eval: [{path: b.jsonl}]
training:
  learning_rate: 1e-5
  save_steps: 100
"""


def load(tmp_path: Path, text: str = GOOD, *overrides: tuple[str, str], **environment: str) -> LoadedConfig:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides, environment)


def refusal(tmp_path: Path, text: str, *overrides: tuple[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, *overrides)
    return str(caught.value)


def test_numbers_like_1e_5_are_numbers(tmp_path: Path) -> None:
    assert load(tmp_path).config.training.learning_rate == 1e-5


def test_command_line_goes_before_environment_before_file_before_defaults(tmp_path: Path) -> None:
    environment = {"ETERNA_TRAINING__LEARNING_RATE": "2e-5", "ETERNA_TRAINING__SAVE_STEPS": "7"}
    config = load(tmp_path, GOOD, ("training.learning_rate", "3e-5"), **environment).config
    assert config.training.learning_rate == 3e-5
    assert config.training.save_steps == 7
    assert load(tmp_path).config.training.save_steps == 100
    assert load(tmp_path).config.training.logging_steps == 10


def test_overrides_reach_into_lists(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD, ("data.train.0.path", "c.jsonl")).config.data.train[0].path == "c.jsonl"


def test_an_override_s_mistake_names_the_option(tmp_path: Path) -> None:
    assert "command line, --training.seed: training.seed is 'x'" in refusal(tmp_path, GOOD, ("training.seed", "x"))


def test_an_override_s_number_is_one_of_plain_digits(tmp_path: Path) -> None:
    for name in ("data.train.².path", f"data.train.{'9' * 5000}.path"):
        assert "cannot be set" in refusal(tmp_path, GOOD, (name, "c.jsonl"))


def test_the_output_folder_follows_the_name(tmp_path: Path) -> None:
    assert load(tmp_path).config.training.output_dir == "runs/poe-voice"


def test_resolved_values_load_again_as_the_same_config(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert config_from_values(loaded.resolved()).config == loaded.config


def test_transformers_own_settings_pass_through_and_are_checked(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD + "  adam_beta2: 0.95\n").config
    assert config.training.model_dump()["adam_beta2"] == 0.95
    assert "expected float" in refusal(tmp_path, GOOD + "  adam_beta2: high\n")


def test_a_setting_that_is_not_needed_is_answered_with_what_happens_instead(tmp_path: Path) -> None:
    (note,) = load(tmp_path, GOOD + "  eval_on_start: true\n").notes
    assert "training.eval_on_start is not needed: the model is always evaluated before the first step" in note


def test_the_guide_s_logging_dir_is_tensorboard_s_folder(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD + "  logging_dir: ./logs\n").config.tracking.tensorboard_dir == "./logs"


def test_an_old_name_beside_its_new_one_is_refused(tmp_path: Path) -> None:
    assert "twice" in refusal(tmp_path, GOOD + "  warmup_ratio: 0.1\n  warmup_steps: 5\n")


BAD = {
    "typo": (GOOD.replace("learning_rate", "learnig_rate"), r"run.yaml:10:3: unknown key training.learnig_rate", "learning_rate"),
    "key of another section": (GOOD + "lr: 3\n", "unknown key lr", ""),
    "wrong section": (GOOD + "max_length: 3\n", "unknown key max_length", "data.'max_length'"),
    "text for a number": (GOOD.replace("r: 8", "r: many"), "run.yaml:4:3: lora.r is 'many'", "a whole number"),
    "text for a number of two kinds": (GOOD + "  warmup_steps: abc\n", "run.yaml:12:3: training.warmup_steps is 'abc'", "expected a number"),
    "number for a list or a word": (GOOD.replace("[q_proj, v_proj]", "3"), "run.yaml:5:3: lora.target_modules is 3", "a list or text"),
    "negative": (GOOD.replace("1e-5", "-1"), "training.learning_rate is -1", "greater than 0"),
    "infinite": (GOOD.replace("1e-5", ".inf"), "training.learning_rate is inf", "finite"),
    "bad choice": (GOOD.replace("{name: some/model}", "{name: m, init: rnd}"), "model.init is 'rnd'", "random"),
    "missing model": (GOOD.replace("model: {name: some/model}\n", ""), "model is missing", "add `model:`"),
    "empty train": (GOOD.replace("[{path: a.jsonl}]", "[]"), "data.train is", "at least 1"),
    "key twice": (GOOD + "name: other\n", "stands twice .first in line 1.", "remove one"),
    "tab": (GOOD.replace("  r: 8", "\tr: 8"), "not valid YAML", "spaces, not tabs"),
    "unclosed": (GOOD + 'world: "x\n', "not valid YAML", "quotes"),
    "tag": (GOOD + "world: !!python/object:os.system x\n", "tag", "plain"),
    "list at top": ("- a\n", "must hold keys", "model:"),
    "run name": (GOOD.replace("poe-voice", "../../x"), "name is '../../x'", "pattern"),
    "no world": (GOOD.replace("{path: a.jsonl}", "{world: books}"), "takes examples of a world", "eterna:biblioteca"),
    "path and world": (GOOD.replace("{path: a.jsonl}", "{path: a, world: books}"), "either path or world", "exactly one"),
    "split of lines": (GOOD.replace("{path: a.jsonl}", "{path: a.jsonl, split: train}"), "has no splits", "remove split"),
    "split of a world": (GOOD.replace("{path: a.jsonl}", "{world: examples, split: 'train[:5]'}"), r"split is 'train\[:5\]'", "train, validation, test"),
    "revision of a file": (GOOD.replace("{path: a.jsonl}", "{path: ./a/b, revision: main}"), "belong to Hub data sets", "owner/name"),
    "name of a world": (GOOD.replace("{path: a.jsonl}", "{world: examples, name: en}"), "belong to Hub data sets", "remove them"),
    "voice of a file": (GOOD.replace("{path: a.jsonl}", "{path: a.jsonl, voice: x}"), "voice belongs to", "world: examples"),
    "eval without data": (GOOD.replace("  eval: [{path: b.jsonl}]\n", "") + "  eval_strategy: steps\n", "data.eval is empty", "add a source"),
    "optimizer": (GOOD + "  optim: adamw_torhc\n", "run.yaml:12:3: training.optim is 'adamw_torhc'", "did you mean 'adamw_torch'"),
    "schedule": (GOOD + "  lr_scheduler_type: cosin\n", "training.lr_scheduler_type is 'cosin'", "did you mean 'cosine'"),
    "4 bits, all trained": (GOOD.replace("{name: some/model}", "{name: m, quantization: nf4}").replace("lora:\n  r: 8\n  target_modules: [q_proj, v_proj]\n", ""), "cannot be trained", "add `lora:`"),
    "4 bits, random": (GOOD.replace("{name: some/model}", "{name: m, quantization: nf4, init: random}"), "holds pretrained weights", "remove one"),
    "4 bits, another type": (GOOD.replace("{name: some/model}", "{name: m, quantization: nf4, dtype: float16}"), "model.dtype is float16, but", "remove model.dtype"),
    "sampling strategy": (GOOD + "  train_sampling_strategy: by_luck\n", "train_sampling_strategy is 'by_luck'", "group_by_length"),
    "best without evaluation": (GOOD.replace("  eval: [{path: b.jsonl}]\n", "") + "  load_best_model_at_end: true\n", "load_best_model_at_end needs evaluations", "data: eval:"),
    "best by no metric": (GOOD + "  save_strategy: best\n", "save_strategy is best, but no metric", "metric_for_best_model"),
    "unmeasured metric": (GOOD + "  metric_for_best_model: accuracy\n", "metric_for_best_model is 'accuracy'", "during_training.metrics"),
    "metric that begins like one": (GOOD + "  metric_for_best_model: lossy\n", "metric_for_best_model is 'lossy'", "did you mean 'loss'"),
    "composite without evaluations": (GOOD + "  eval_strategy: \"no\"\nevaluation: {best: {perplexity: -1}}\n", "run.yaml:12:3: evaluation.best compares evaluations", "eval_strategy: steps"),
    "split of books": (GOOD.replace("{path: a.jsonl}", "{world: books, split: validation}"), "data.train.0: books have no splits", "remove split"),
    "best of other strategies": (GOOD + "  load_best_model_at_end: true\n  save_strategy: epoch\n", "eval_strategy is steps and save_strategy is epoch", "save_strategy: steps, or best"),
    "best between evaluations": (GOOD + "  load_best_model_at_end: true\n  eval_steps: 30\n", "save_steps 100 is no multiple of eval_steps 30", "save_steps: 90"),
    "lora on random": (GOOD.replace("{name: some/model}", "{name: m, init: random}"), "LoRA on random weights", "remove the lora"),
}  # fmt: skip


def test_a_part_of_a_hub_data_set_can_be_named(tmp_path: Path) -> None:
    source = "{path: owner/name, name: en, revision: v1, split: 'train[:5]'}"
    assert load(tmp_path, GOOD.replace("{path: a.jsonl}", source)).config.data.train[0].split == "train[:5]"


@pytest.mark.parametrize("case", sorted(BAD))
def test_a_mistake_is_named_with_place_value_and_fix(tmp_path: Path, case: str) -> None:
    text, expected, fix = BAD[case]
    message = refusal(tmp_path, text)
    import re

    assert re.search(expected, message), message
    assert fix in message
    assert "run.yaml" in message


@pytest.mark.parametrize(
    ("old", "new"),
    [("save_steps: 100", "save_steps: abc"), ("[q_proj, v_proj]", "3"), ("[q_proj, v_proj]", "[1]"), ("r: 8", "r: x")],
)
def test_one_wrong_value_is_one_problem(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert len(caught.value.problems) == 1


def test_an_override_of_a_number_that_is_no_digit_is_refused(tmp_path: Path) -> None:
    assert "unknown key data.²" in refusal(tmp_path, GOOD, ("data.²", "1"))


def test_a_key_from_python_that_is_no_text_is_refused() -> None:
    values = {"model": {"name": "m"}, "data": {"train": [{"path": "a"}], 5: 4}}
    with pytest.raises(ConfigError, match=r"unknown key data\.5"):
        config_from_values(values)


def test_an_alias_is_refused(tmp_path: Path) -> None:
    assert "aliases" in refusal(tmp_path, "name: &n x\nworld: *n\n" + GOOD.partition("\n")[2])


def test_an_empty_file_says_where_to_start(tmp_path: Path) -> None:
    message = refusal(tmp_path, "# nothing\n")
    assert "is empty" in message
    assert "eterna init my-world" in message


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("learning_rate: 1e-5", "learning_rate: x\n  bogus_key: 1").replace("r: 8", "r: 0")
    message = refusal(tmp_path, text)
    assert message.index("lora.r") < message.index("learning_rate is 'x'") < message.index("bogus_key")


KEYS = [
    (section, key)
    for section, field in RunConfig.model_fields.items()
    for key in (getattr(field.annotation, "model_fields", None) or {})
]


@settings(max_examples=300)
@given(st.sampled_from(KEYS), st.integers(0, 2**16), st.sampled_from(["drop", "swap", "double"]))
def test_a_mutated_key_is_refused(target: tuple[str, str], where: int, how: str) -> None:
    section, key = target
    spot = where % max(1, len(key) - 1)
    wrong = {
        "drop": key[:spot] + key[spot + 1 :],
        "swap": key[:spot] + key[spot : spot + 2][::-1] + key[spot + 2 :],
        "double": key[:spot] + key[spot] + key[spot:],
    }[how]
    known = {other for name, other in KEYS if name == section} | set(FIELD_TABLES.get(section, {}))
    if wrong in known or not wrong:
        return
    values = {"model": {"name": "m"}, "data": {"train": [{"path": "a"}]}}
    values.setdefault(section, {})[wrong] = 1  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="unknown key"):
        config_from_values(values)


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_any_text_is_a_config_or_a_clear_refusal(text: str) -> None:
    from eterna.config.reading import parse_yaml

    try:
        parse_yaml(text, "x.yaml")
    except UserError as error:
        assert "x.yaml" in str(error)


def test_the_schema_knows_every_key_and_its_meaning() -> None:
    definitions = json_schema()["$defs"]
    for section, key in KEYS:
        annotation = RunConfig.model_fields[section].annotation
        properties = definitions[getattr(annotation, "__name__", "")]["properties"]
        assert properties[key].get("description"), f"{section}.{key} has no description"
    assert "adam_beta2" in definitions["TrainingSection"]["properties"]
    json.dumps(json_schema())


def test_the_field_tables_are_those_of_the_installed_libraries_or_newer() -> None:
    """Every field of the installed versions is known; the table itself is made from the newest in range."""
    import dataclasses

    import peft
    import transformers
    from scripts.field_tables import NOT_PLAIN

    for kind, known in ((transformers.TrainingArguments, FIELD_TABLES["training"].keys()), (peft.LoraConfig, FIELD_TABLES["lora"].keys())):  # fmt: skip
        assert {field.name for field in dataclasses.fields(kind) if field.init} - NOT_PLAIN <= set(known)


@pytest.mark.parametrize("module", ["eterna", "eterna.config", "eterna.world", "eterna.runs", "eterna.cli.main"])
def test_importing_loads_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'transformers', 'numpy', 'mlflow', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_anchor_given_twice_is_no_reason_to_warn() -> None:
    """Legal YAML, which ruamel.yaml warns of; what is refused is an alias to it."""
    assert parse_yaml("a: &x 1\nb: &x 2\n", "run.yaml").values == {"a": 1, "b": 2}
    with pytest.raises(ConfigError, match="aliases"):
        parse_yaml("a: &x 1\nb: &x 2\nc: *x\n", "run.yaml")
