"""Measure a model: what it expects, what it replies, how people rate it; intervals."""

from eterna.evaluation.bleu import bleu_of, score_bleu
from eterna.evaluation.copying import copied_runs
from eterna.evaluation.general import general_paragraphs
from eterna.evaluation.health import score_health
from eterna.evaluation.intervals import bootstrap_ratio
from eterna.evaluation.perplexity import ItemLoss, Perplexity, default_stride, perplexity_scores, score_items, summarize
from eterna.evaluation.probes import answer_probes
from eterna.evaluation.rating_files import Rating, read_ratings
from eterna.evaluation.ratings import Agreement, agreement, rating_scores
from eterna.evaluation.rouge import rouge_of, score_rouge
from eterna.evaluation.words import mean_words

__all__ = [
    "Agreement",
    "ItemLoss",
    "Perplexity",
    "Rating",
    "agreement",
    "answer_probes",
    "bleu_of",
    "bootstrap_ratio",
    "copied_runs",
    "default_stride",
    "general_paragraphs",
    "mean_words",
    "perplexity_scores",
    "rating_scores",
    "read_ratings",
    "rouge_of",
    "score_bleu",
    "score_health",
    "score_items",
    "score_rouge",
    "summarize",
]
