"""BLEU: overlap with the reference. It never says how good a reply is.

    BLEU = BP * exp(mean over n = 1..4 of ln p_n) * 100        BP = exp(1 - reference words / reply words), at most 1

p_n is the share of the replies' n-grams that the references hold too, each counted at most as often as its own
reference has it. Counts and lengths are pooled over the corpus: never a mean of per-item values. An order without any
match counts as half a match, the next such order as a quarter, and so on (smoothing "exp"). Computed by sacrebleu with
its `intl` tokenizer, which takes off Spanish marks (¿ ¡ « » — …); case and accents count, and effective order is off.

Range 0 to 100, higher is more overlap. Source: Papineni et al., BLEU, ACL 2002; Post, A Call for Clarity in Reporting
BLEU Scores, WMT 2018. Known weakness: a good reply in other words scores near 0, and in open narrative BLEU hardly
correlates with human judgement (Guan et al., OpenMEVA, ACL 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eterna.evaluation.intervals import SIGNATURE, multiplicities, not_scored, paired_scores, signed
from eterna.runs import Score

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

ORDERS = 4


def score_bleu(
    base_replies: Sequence[str],
    tuned_replies: Sequence[str],
    references: Sequence[str],
    groups: Sequence[str],
    made: str = "",
) -> list[Score]:
    """Corpus BLEU of base and tuned with their paired difference; one reference and one group for each item.

    made: how the replies came about, for the signature.
    """
    import numpy

    metric = _bleu(effective_order=False)
    rows = [
        [_statistics(metric, reply, reference) for reply, reference in zip(replies, references, strict=True)]
        for replies in (base_replies, tuned_replies)
    ]
    if not references:
        return not_scored("bleu", "there is no reply to score", "higher", signed(made, SIGNATURE))
    drawn = multiplicities(groups)  # (DRAWS, items)
    values, draws = [], []
    for row in rows:
        statistics = numpy.asarray(row)  # (items, 2 + 2 * ORDERS)
        values.append(_pooled(statistics.sum(axis=0).tolist()))
        draws.append([_pooled(sums) for sums in (drawn @ statistics).tolist()])
    signature = signed(str(metric.get_signature()), made, SIGNATURE)
    return paired_scores("bleu", values, draws, len(references), "higher", signature)


def corpus_bleu(replies: Sequence[str], references: Sequence[str]) -> float:
    """The figure of one system alone, pooled as above. Raises ValueError without a reply."""
    if not references:
        raise ValueError("no reply to score")
    metric = _bleu(effective_order=False)
    rows = [_statistics(metric, reply, reference) for reply, reference in zip(replies, references, strict=True)]
    return _pooled([sum(column) for column in zip(*rows, strict=True)])


def bleu_of(reply: str, reference: str) -> float:
    """BLEU of one reply (0 to 100), over as many orders as it is long enough for: for sorting examples, no more."""
    return float(_bleu(effective_order=True).sentence_score(reply, [reference]).score)


def _bleu(effective_order: bool) -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize="intl", max_ngram_order=ORDERS, effective_order=effective_order)


def _statistics(metric: BLEU, reply: str, reference: str) -> list[int]:
    """What is pooled of one item: both lengths, matches of each order, n-grams of each order."""
    # sacrebleu takes references as streams: the first list holds the first reference of every reply.
    score = metric.corpus_score([reply], [[reference]])
    return [score.sys_len, score.ref_len, *score.counts, *score.totals]


def _pooled(sums: Sequence[float]) -> float:
    from sacrebleu.metrics.bleu import BLEU

    counts = [int(count) for count in sums]
    matches, totals = counts[2 : 2 + ORDERS], counts[2 + ORDERS :]
    return float(BLEU.compute_bleu(matches, totals, counts[0], counts[1], smooth_method="exp").score)
