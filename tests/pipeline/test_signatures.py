"""Whatever a figure depends on stands in its signature, so that `runs compare` subtracts only what may be compared."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eterna.config import config_from_values
from eterna.data import prepare_data, read_sources
from eterna.evaluation import ItemLoss
from eterna.models import Generated
from eterna.pipeline.inputs import prompt_room, read_world, read_yardsticks
from eterna.pipeline.measuring import Measured, Measurer
from eterna.pipeline.past_runs import compare_runs
from eterna.runs import RunFolder, Score

METRICS = ["perplexity", "bleu", "rouge", "style", "insightfulness"]
PERPLEXITY, TRAINED = {"perplexity"}, {"style", "insightfulness_proxy", "copied_run"}
GENERAL, RATED = {"general_perplexity"}, {"insightfulness_human"}
HEALTH = {"distinct_1", "distinct_2", "distinct_3", "repetition", "length_gap", "empty", "stopped", "language_drift"}
REPLIES = {"bleu", "rouge1", "rouge2", "rougeL", *TRAINED, *HEALTH}
EVERYTHING = {*PERPLEXITY, "bits_per_byte", *GENERAL, *RATED, *REPLIES}


@pytest.fixture
def values(run_values: dict[str, Any], chat_file: Path, tmp_path: Path) -> dict[str, Any]:
    """A run whose every input is a file of its own."""
    (tmp_path / "eval.jsonl").write_bytes(chat_file.read_bytes())
    (tmp_path / "general.txt").write_text("Rain fell.\n\nBread needs flour.\n", encoding="utf-8")
    rows = [{"item": f"i{n}", "rater": "a", "rating": n % 3, "system": s} for n in range(6) for s in ("base", "tuned")]
    (tmp_path / "ratings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {
        **run_values,
        "data": {**run_values["data"], "eval": [{"path": str(tmp_path / "eval.jsonl")}]},
        "evaluation": {
            "metrics": METRICS,
            "samples": 4,
            "general": str(tmp_path / "general.txt"),
            "ratings": str(tmp_path / "ratings.jsonl"),
        },
    }


def scores_of(values: dict[str, Any], tokenizer: Any, held: str = "float32") -> list[Score]:
    """The scores of a model that answers everything alike."""
    config = config_from_values(values).config
    world = read_world(config)
    read = read_sources(config.data, world)
    data = prepare_data(read, config.data, tokenizer, config.evaluation.samples, prompt_room(config))
    measurer = Measurer(config, world, read_yardsticks(config.evaluation, world), read, data, tokenizer)
    losses, general = (
        [ItemLoss(one.id, one.group, 10.0, one.trained, one.trained_bytes) for one in some]
        for some in (data.eval, measurer.general)
    )
    measured = Measured(losses, general, [Generated("Es un libro que se lee despacio.", 8, True)] * len(data.items))
    return measurer.compare(measured, measured, held).scores


def put(tmp_path: Path, name: str, old: str, new: str) -> None:
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new), encoding="utf-8")


CHANGES: dict[str, tuple[Callable[[Path, dict[str, Any], Any], object], set[str]]] = {
    "training data": (lambda path, values, tokenizer: put(path, "chat.jsonl", "Abel", "Abela"), TRAINED),
    "held-out data": (
        lambda path, values, tokenizer: put(path, "eval.jsonl", "lamps", "lights"),
        EVERYTHING - GENERAL - RATED,
    ),
    "general text": (lambda path, values, tokenizer: put(path, "general.txt", "Rain", "Snow"), GENERAL),
    "ratings": (lambda path, values, tokenizer: put(path, "ratings.jsonl", '"rating": 0', '"rating": 4'), RATED),
    "template": (
        lambda path, values, tokenizer: setattr(tokenizer, "chat_template", tokenizer.chat_template + "{# . #}"),
        PERPLEXITY | GENERAL,
    ),
    "vocabulary": (lambda path, values, tokenizer: tokenizer.add_tokens(["qqqq"]), PERPLEXITY | GENERAL),
    "longest reply": (lambda path, values, tokenizer: values.update(generation={"max_new_tokens": 9}), REPLIES),
    "guidance": (lambda path, values, tokenizer: values.update(generation={"guidance_scale": 1.5}), REPLIES),
    "number of replies": (lambda path, values, tokenizer: values["evaluation"].update(samples=3), REPLIES),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_named_by_exactly_the_figures_it_touches(
    change: str, values: dict[str, Any], tiny_tokenizer: Any, tmp_path: Path
) -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer)
    before = scores_of(values, tokenizer)
    assert {score.metric for score in before} == EVERYTHING
    make, touched = CHANGES[change]
    make(tmp_path, values, tokenizer)
    after = scores_of(values, tokenizer)
    first, second = ({score.metric: score.signature for score in scores} for scores in (before, after))
    assert {metric for metric in EVERYTHING if first[metric] != second[metric]} == touched
    loaded = config_from_values(values)
    for name, scores in (("a", before), ("b", after)):
        run = RunFolder(tmp_path / name)
        run.start(loaded, {}, {})
        run.write_scores(scores)
    for pair in compare_runs(tmp_path / "a", tmp_path / "b").scores:
        assert (pair.not_comparable is None) == (pair.metric not in touched), pair
        assert pair.difference is None or pair.metric not in touched


def test_how_weights_are_held_is_part_of_every_measured_figure(values: dict[str, Any], tiny_tokenizer: Any) -> None:
    one, other = (scores_of(values, tiny_tokenizer, held) for held in ("float32", "bfloat16"))
    same = {a.metric for a, b in zip(one, other, strict=True) if a.signature == b.signature}
    assert same == RATED


def test_prompts_that_leave_no_room_give_rows_with_the_reason(values: dict[str, Any], tiny_tokenizer: Any) -> None:
    values["generation"] = {"max_new_tokens": 199}
    scores = {(score.metric, score.system): score for score in scores_of(values, tiny_tokenizer)}
    for metric in ("bleu", "rougeL", "style", "insightfulness_proxy"):
        score = scores[metric, "difference"]
        assert score.value is None
        assert score.reason == "no prompt of data.eval leaves room for a reply in data.max_length"
