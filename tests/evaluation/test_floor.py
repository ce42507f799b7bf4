"""Each metric on the shipped world: what people wrote beats a control that must score worse, and length cannot tell."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from eterna.data import Item
from eterna.evaluation.intervals import mean_scores
from eterna.evaluation.sentences import sentences_of
from eterna.evaluation.suite import TEXT_METRICS

Values = list[float | None]
DRAWS = 3


def shuffled(text: str, draw: random.Random) -> str:
    sentences = sentences_of(text)
    order = list(sentences)
    while len(set(sentences)) > 1 and order == sentences:
        draw.shuffle(order)
    return " ".join(order)


def other_answers(items: list[Item], draw: random.Random, fits: Callable[[Item, Item], bool]) -> list[str]:
    """For each item the answer of another one in its language that `fits`."""
    return [
        draw.choice([one.reference for one in items if one.scene.language == item.scene.language and fits(item, one)])
        for item in items
    ]


CONTROLS: dict[str, Callable[[list[Item], random.Random], list[str]]] = {
    "relevancy": lambda items, draw: other_answers(items, draw, lambda item, one: item.group != one.group),
    "coherence": lambda items, draw: [shuffled(item.reference, draw) for item in items],
    "style": lambda items, draw: other_answers(items, draw, lambda item, one: item.scene.voice != one.scene.voice),
    "insightfulness": lambda items, draw: other_answers(items, draw, lambda item, one: not one.scene.serves),
}


def auc(better: list[float], worse: list[float]) -> float:
    """How often one of `better` is above one of `worse`."""
    pairs = [(one > other) + (one == other) / 2 for one in better for other in worse]
    return sum(pairs) / len(pairs)


def mean(rows: list[Values]) -> Values:
    return [None if None in column else sum(filter(None, column)) / len(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("metric", CONTROLS)
def test_what_people_wrote_beats_the_control_and_length_does_not_tell(metric: str, held_out: Any) -> None:
    items, score = held_out.items, TEXT_METRICS[metric]
    draw = random.Random(0)
    controls = [CONTROLS[metric](items, draw) for _ in range(DRAWS)]
    written = score(held_out.references, items, held_out.background)[""]
    control = mean([score(texts, items, held_out.background)[""] for texts in controls])
    difference = mean_scores(metric, control, written, [item.group for item in items], "higher", "")[2]
    assert difference.low is not None
    assert difference.low > 0
    kept = [place for place, value in enumerate(written) if value is not None]
    by_metric = auc([written[place] for place in kept], [control[place] for place in kept])  # type: ignore[misc]
    lengths = [[float(len(texts[place].split())) for place in kept] for texts in (held_out.references, *controls)]
    by_length = max(auc(lengths[0], one) for one in lengths[1:])
    assert by_metric > by_length
    assert by_metric > 0.55


@pytest.mark.parametrize("metric", CONTROLS)
def test_an_empty_reply_scores_nothing_and_breaks_nothing(metric: str, held_out: Any) -> None:
    items = held_out.items[:4]
    values = TEXT_METRICS[metric]([""] * 4, items, held_out.background)[""]
    assert {value for value in values if value is not None} <= {0.0}


def test_repeating_a_sentence_is_not_coherence() -> None:
    from eterna.evaluation.coherence import coherence_of

    said = "The lamps are low tonight. I trimmed the last of them myself. Nobody came to read beneath it."
    before = "Are the lamps low?"
    assert coherence_of(said, before, "en") > coherence_of("The lamps are low tonight. " * 5, before, "en")


def test_a_revelacion_told_word_for_word_is_worth_less_than_one_hinted_at(held_out: Any) -> None:
    from eterna.evaluation.insightfulness import score_insightfulness, told_share

    item = next(one for one in held_out.items if one.scene.serves and one.scene.language == "en")
    statement = held_out.background.revelaciones[item.scene.serves[0]].statement
    assert told_share(statement, statement) == 1
    told, hinted = score_insightfulness([statement, item.reference], [item, item], held_out.background)[""]
    assert told == 0
    assert hinted is not None
    assert hinted > 0


def test_names_do_not_give_a_voice_away(held_out: Any) -> None:
    from eterna.evaluation.style import style_spaces

    space = style_spaces(held_out.background)["en"]
    text = "I saw the stair, then Abel and Tomás and Inés and Oria, then the stair."
    other = "I saw the stair, then Pedro and Lucía and Jorge and Marta, then the stair."
    for voice in space.voices:
        assert space.value(text, voice) == space.value(other, voice)


def test_a_metric_without_what_it_needs_says_so(held_out: Any) -> None:
    from eterna.evaluation import Answers, Background, score_replies

    metrics, items = ["style", "insightfulness"], held_out.items[:6]
    said = Answers.of(held_out.references[:6], metrics, items, Background())
    scores = score_replies(metrics, items, said, said, Background(), "test")
    whole = [score for score in scores if not score.part]
    assert {score.metric for score in whole} == {"style", "insightfulness_proxy"}
    assert all(score.value is None and score.reason for score in whole)


def test_scores_come_with_slices_by_context_and_voice(held_out: Any) -> None:
    from eterna.evaluation import Answers, score_replies

    metrics, items = ["relevancy", "style"], held_out.items
    said = Answers.of(held_out.references, metrics, items, held_out.background)
    scores = score_replies(metrics, items, said, said, held_out.background, "test")
    parts = {(score.metric, score.part) for score in scores}
    wanted = {("relevancy", "context: conversation"), ("relevancy", "context: place"), ("style", "pooled")}
    assert wanted | {("style", "voice: archivera"), ("relevancy", "voice: farolero")} <= parts
    pooled = next(score for score in scores if (score.part, score.system) == ("pooled", "tuned"))
    single = next(s for s in scores if (s.metric, s.part, s.system) == ("style", "", "tuned"))
    assert pooled.value is not None
    assert single.value is not None
    assert pooled.value > single.value
    assert all(score.value == 0 for score in scores if score.system == "difference")
