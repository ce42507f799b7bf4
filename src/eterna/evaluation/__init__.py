"""Measure a model: perplexity on held-out text, replies to fixed prompts, intervals."""

from eterna.evaluation.intervals import bootstrap_ratio
from eterna.evaluation.perplexity import ItemLoss, Perplexity, default_stride, perplexity_scores, score_items, summarize
from eterna.evaluation.probes import answer_probes

__all__ = [
    "ItemLoss",
    "Perplexity",
    "answer_probes",
    "bootstrap_ratio",
    "default_stride",
    "perplexity_scores",
    "score_items",
    "summarize",
]
