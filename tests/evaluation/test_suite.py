"""Figures of one system, and rows for what could not be answered."""

from __future__ import annotations

import pytest
import sacrebleu

from eterna.data import Item, RawExample
from eterna.evaluation import Background, bleu_of, reply_figures, unanswered_scores
from eterna.world import Scene

PAIRS = [
    ("It turns, and every turn is a landing.", "It does not end. It only turns, and every turn is a landing."),
    ("No.", "No. It is only finished, which is another matter."),
    ("Paper and thread.", "Abel keeps them. He counts each one before he sleeps."),
]


def items() -> list[Item]:
    return [Item(f"i{n}", "", f"g{n}", Scene(), (), (), reference) for n, (_, reference) in enumerate(PAIRS)]


def test_bleu_of_an_evaluation_is_that_of_the_corpus() -> None:
    replies, references = [reply for reply, _ in PAIRS], [reference for _, reference in PAIRS]
    expected = sacrebleu.corpus_bleu(replies, [references], tokenize="intl").score
    figure = reply_figures(["bleu"], items(), replies, Background())["bleu"]
    assert figure == pytest.approx(expected)
    mean = sum(bleu_of(reply, reference) for reply, reference in PAIRS) / len(PAIRS)
    assert figure != pytest.approx(mean, abs=0.1)


def test_figures_that_no_item_has_are_left_out() -> None:
    replies = [reply for reply, _ in PAIRS]
    assert set(reply_figures(["bleu", "rouge", "insightfulness"], items(), replies, Background())) == {"bleu", "rouge"}
    assert reply_figures(["bleu"], [], [], Background()) == {}


def test_metrics_without_an_answered_prompt_are_said_to_be_unscored() -> None:
    scores = unanswered_scores(["perplexity", "bleu", "rouge", "insightfulness"], "s")
    assert {score.metric for score in scores} == {"bleu", "rouge1", "rouge2", "rougeL", "insightfulness_proxy"}
    assert {score.system for score in scores} == {"base", "tuned", "difference"}
    assert all(score.value is None and "leaves room for a reply" in str(score.reason) for score in scores)


def test_of_much_ordinary_talk_a_fixed_part_is_kept_whatever_stands_beside_it() -> None:
    def background(numbers: range) -> Background:
        rows = [({"role": "assistant", "content": f"Night {number}."},) for number in numbers]
        scene = Scene("abel", "en")
        return Background.of([RawExample(f"e{n}", None, row, scene=scene) for n, row in enumerate(rows)], {})

    few, many, more = (set(background(range(size)).idle["en"]) for size in (256, 600, 900))
    assert (len(few), len(many), len(more)) == (256, 256, 256)
    assert more & {f"Night {number}." for number in range(600)} <= many  # none comes in because of others
    assert background(range(599, -1, -1)).idle["en"] == list(reversed(background(range(600)).idle["en"]))
