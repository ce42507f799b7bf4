"""All metrics on replies: the table of names, figures of one system, base against tuned with slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eterna.data import Item
from eterna.evaluation.background import Background
from eterna.evaluation.bleu import bleu_of, corpus_bleu, score_bleu
from eterna.evaluation.coherence import score_coherence
from eterna.evaluation.insightfulness import score_insightfulness
from eterna.evaluation.intervals import mean_scores, not_scored, signed
from eterna.evaluation.perplexity import SHOWN_SLICE
from eterna.evaluation.relevancy import score_relevancy
from eterna.evaluation.rouge import METRICS as ROUGE
from eterna.evaluation.rouge import rouge_of, score_rouge
from eterna.evaluation.sentences import ENCODER_SHA256
from eterna.evaluation.style import pooled_style_scores, score_style
from eterna.runs import Score

TextMetric = Callable[[Sequence[str], Sequence[Item], Background], dict[str, list[float | None]]]
TEXT_METRICS: dict[str, TextMetric] = {
    "relevancy": score_relevancy,
    "coherence": score_coherence,
    "style": score_style,
    "insightfulness": score_insightfulness,
}
OVERLAP = ("bleu", "rouge")
REPLY_METRICS = (*OVERLAP, *TEXT_METRICS)
WRITTEN = {"insightfulness": "insightfulness_proxy"}
VERSIONS = {"style": 2, "insightfulness": 2}
"""Of the metrics that were changed since their first version."""
COMPARES_WITH_TRAINING = ("style", "insightfulness")
MISSING = {
    "relevancy": "no two replies have contexts to tell apart",
    "style": "needs two voices with training text in the language of the replies",
    "insightfulness": "no held-out item serves a revelación, or the training data has no ordinary talk beside",
}


@dataclass(frozen=True)
class Answers:
    """What one system replied to the items, and what each metric says of it."""

    texts: Sequence[str]
    values: dict[str, dict[str, list[float | None]]]
    """metric -> part -> value per item."""

    @classmethod
    def of(cls, texts: Sequence[str], metrics: Sequence[str], items: Sequence[Item], background: Background) -> Answers:
        """Scored once, for every table that they stand in."""
        return cls(texts, reply_values(metrics, items, texts, background))


def needs_replies(metrics: Sequence[str]) -> bool:
    """Whether any of these metrics looks at generated text."""
    return any(name in REPLY_METRICS for name in metrics)


def reply_values(
    metrics: Sequence[str], items: Sequence[Item], replies: Sequence[str], background: Background
) -> dict[str, dict[str, list[float | None]]]:
    """metric -> part -> value per item, of one system."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for name in metrics:
        if name in TEXT_METRICS:
            found[name] = TEXT_METRICS[name](replies, items, background)
        elif name == "bleu":
            found[name] = {"": [bleu_of(reply, item.reference) for reply, item in zip(replies, items, strict=True)]}
        elif name == "rouge":
            pairs = zip(replies, items, strict=True)
            found[name] = {"": [rouge_of(reply, item.reference)["rougeL"][2] for reply, item in pairs]}
    return found


def reply_figures(
    metrics: Sequence[str], items: Sequence[Item], replies: Sequence[str], background: Background
) -> dict[str, float]:
    """Each metric of one system: the mean over the items it could score, BLEU pooled; those without any left out."""
    figures = {}
    if "bleu" in metrics and items:
        figures["bleu"] = corpus_bleu(replies, [item.reference for item in items])
    rest = [name for name in metrics if name != "bleu"]
    for name, parts in reply_values(rest, items, replies, background).items():
        kept = [value for value in parts[""] if value is not None]
        if kept:
            figures[name] = math.fsum(kept) / len(kept)
    return figures


def score_replies(
    metrics: Sequence[str],
    items: Sequence[Item],
    base: Answers,
    tuned: Answers,
    background: Background,
    signature: str,
) -> list[Score]:
    """Base against tuned for every metric on replies, with a slice per context, voice, place, book and language."""
    texts = base.texts, tuned.texts
    groups = [item.group for item in items]
    references = [item.reference for item in items]
    scores: list[Score] = []
    if "bleu" in metrics:
        scores += score_bleu(*texts, references, groups, signature)
    if "rouge" in metrics:
        scores += score_rouge(*texts, references, groups, signature)
    before, after = base.values, tuned.values
    for name in (name for name in metrics if name in TEXT_METRICS):
        written = WRITTEN.get(name, name)
        made = _signature(name, signature, background)
        for part, values in before[name].items():
            if part == "" and name in MISSING and all(value is None for value in values):
                scores += not_scored(written, MISSING[name], "higher", made)
                continue
            scores += mean_scores(written, values, after[name][part], groups, "higher", made, part)
        if name == "style":
            scores += pooled_style_scores(*texts, items, background, made)
        scores += _by_slice(written, before[name][""], after[name][""], items, made)
    return scores


def unanswered_scores(metrics: Sequence[str], signature: str) -> list[Score]:
    """Rows for the metrics on replies where no prompt could be answered."""
    names = [one for name in metrics if name in REPLY_METRICS for one in (ROUGE if name == "rouge" else (name,))]
    reason = "no prompt of data.eval leaves room for a reply in data.max_length"
    return [score for name in names for score in not_scored(WRITTEN.get(name, name), reason, "higher", signature)]


def _signature(name: str, made: str, background: Background) -> str:
    trained = f"trained-on:{background.digest}" if name in COMPARES_WITH_TRAINING else ""
    encoder = f"encoder:{ENCODER_SHA256[:8]}"
    return signed(WRITTEN.get(name, name), made, trained, encoder, f"v{VERSIONS.get(name, 1)}")


def _by_slice(
    metric: str, before: Sequence[float | None], after: Sequence[float | None], items: Sequence[Item], signature: str
) -> list[Score]:
    scores: list[Score] = []
    for name in dict.fromkeys(name for item in items for name in item.scene.slices):
        places = [place for place, item in enumerate(items) if name in item.scene.slices]
        scored = [place for place in places if before[place] is not None and after[place] is not None]
        if len(scored) < SHOWN_SLICE or len(places) == len(items):
            continue
        groups = [items[place].group for place in scored]
        left, right = [before[place] for place in scored], [after[place] for place in scored]
        scores += mean_scores(metric, left, right, groups, "higher", signature, name)
    return scores
