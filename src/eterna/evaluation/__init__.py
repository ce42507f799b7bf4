"""Measure a model: what it expects, what it replies, how people rate it; intervals."""

from eterna.evaluation.background import Background, item_language
from eterna.evaluation.bleu import bleu_of, score_bleu
from eterna.evaluation.canon import Breach, Rules, find_breaches
from eterna.evaluation.composite import Composite, composite_of
from eterna.evaluation.copying import copied_runs
from eterna.evaluation.general import general_paragraphs, general_path
from eterna.evaluation.health import score_health
from eterna.evaluation.intervals import bootstrap_ratio
from eterna.evaluation.perplexity import ItemLoss, Perplexity, default_stride, perplexity_scores, score_items, summarize
from eterna.evaluation.rating_files import Rating, read_ratings
from eterna.evaluation.ratings import Agreement, agreement, rating_scores
from eterna.evaluation.replies import answer_items, redraw_name, sample_rows
from eterna.evaluation.rouge import rouge_of, score_rouge
from eterna.evaluation.sentences import language_of
from eterna.evaluation.suite import Answers, needs_replies, reply_figures, score_replies, unanswered_scores

__all__ = [
    "Agreement",
    "Answers",
    "Background",
    "Breach",
    "Composite",
    "ItemLoss",
    "Perplexity",
    "Rating",
    "Rules",
    "agreement",
    "answer_items",
    "bleu_of",
    "bootstrap_ratio",
    "composite_of",
    "copied_runs",
    "default_stride",
    "find_breaches",
    "general_paragraphs",
    "general_path",
    "item_language",
    "language_of",
    "needs_replies",
    "perplexity_scores",
    "rating_scores",
    "read_ratings",
    "redraw_name",
    "reply_figures",
    "rouge_of",
    "sample_rows",
    "score_bleu",
    "score_health",
    "score_items",
    "score_replies",
    "score_rouge",
    "summarize",
    "unanswered_scores",
]
