"""Human ratings: how far the raters agree, and what they say of base and tuned.

    <criterion>_human   mean rating over items, each item's raters averaged first; items rated for both systems only
    agreement           Krippendorff's alpha = 1 - observed / expected disagreement, for ordinal ratings

Unit of the ratings: the raters' own scale, higher is better. Alpha: 1 is perfect, 0 is chance, below 0 is systematic
disagreement; missing ratings are allowed. Its interval draws items anew, as for every other figure; the one that
evalica offers draws single pairs of raters and came out too narrow in simulation (30 items, 3 raters: its 95 % held the
true value in 73 to 93 % of the cases, against 87 to 95 %).

Source: Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, computed by evalica; the bounds .667 and .80 are
from his Content Analysis, 2004. Known weakness: a mean hides raters who use the scale differently; alpha is low where
all texts are alike, however well the raters agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from statistics import fmean
from typing import Any

from eterna.evaluation.intervals import SIGNATURE, interval, mean_scores, multiplicities, not_scored, signed
from eterna.evaluation.rating_files import CRITERION, Rating
from eterna.runs import SYSTEMS, Score
from eterna.text import plural

GOOD, TENTATIVE = 0.8, 0.667
LEAST_ITEMS = 5


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha with its 95 % interval, or the reason why there is none."""

    alpha: float | None
    low: float | None
    high: float | None
    texts: int
    """Rated texts: an item of one system."""
    items: int
    raters: int
    ratings: int
    signature: str
    reason: str | None = None

    @property
    def verdict(self) -> str:
        """One line for people."""
        if self.alpha is None:
            return f"Agreement of the raters is not known: {self.reason}."
        figure = f"alpha {self.alpha:.2f}"
        if self.low is not None and self.high is not None:
            figure += f", 95 % interval {self.low:.2f} to {self.high:.2f}"
        if self.alpha < TENTATIVE:
            return f"Low agreement ({figure}): do not rank single texts by these ratings."
        found = "Good agreement" if self.alpha >= GOOD else "Tentative agreement"
        doubt = f"; it may well be below {TENTATIVE}" if self.low is not None and self.low < TENTATIVE else ""
        return f"{found} ({figure}){doubt}."


def agreement(ratings: Sequence[Rating], criterion: str = CRITERION) -> Agreement:
    """How far the raters agree on one criterion, over the texts that two of them or more have rated."""
    import numpy

    wanted = [rating for rating in ratings if rating.criterion == criterion]
    raters = list(dict.fromkeys(rating.rater for rating in wanted))
    texts: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for rating in wanted:
        texts[rating.item, rating.system][rating.rater] = rating.rating
    counts = (len(texts), len({item for item, _ in texts}), len(raters), len(wanted))
    signature = f"krippendorff-alpha:ordinal,evalica{version('evalica')}|{SIGNATURE}"
    shared = {text: given for text, given in texts.items() if len(given) > 1}
    reason = _no_alpha(criterion, raters, list(shared.values())) if wanted else f"nobody rated {criterion}"
    if reason:
        return Agreement(None, None, None, *counts, signature, reason)
    table = numpy.array([[given.get(rater, numpy.nan) for given in shared.values()] for rater in raters])
    drawn = multiplicities([item for item, _ in shared]).astype(int)  # (DRAWS, texts)
    tables = (numpy.repeat(table, repeats, axis=1) for repeats in drawn)
    # Where all ratings drawn are alike, alpha is not defined.
    draws = [_alpha(one) for one in tables if numpy.nanmin(one) < numpy.nanmax(one)]
    return Agreement(_alpha(table), *interval(draws), *counts, signature)


def _no_alpha(criterion: str, raters: Sequence[str], shared: Sequence[Mapping[str, float]]) -> str | None:
    if len(raters) < 2:
        return f"all ratings of {criterion} are by one rater"
    if len(shared) < LEAST_ITEMS:
        return f"{plural(len(shared), 'text')} rated by two raters or more; at least {LEAST_ITEMS} are needed"
    if len({rating for given in shared for rating in given.values()}) < 2:
        return "all texts that raters share got the same rating"
    return None


def _alpha(table: Any) -> float:
    """Ordinal alpha of (raters, texts), NaN where a rating is missing."""
    import evalica
    import pandas

    return float(evalica.alpha(pandas.DataFrame(table), distance="ordinal", solver="naive").alpha)


def rating_scores(ratings: Sequence[Rating], file: str = "") -> list[Score]:
    """Mean rating of base and tuned with their paired difference, for each criterion in the order met.

    file: SHA-256 of the file they stand in, for the signature.
    """
    criteria = list(dict.fromkeys(rating.criterion for rating in ratings)) or [CRITERION]
    return [score for criterion in criteria for score in _criterion_scores(ratings, criterion, file)]


def _criterion_scores(ratings: Sequence[Rating], criterion: str, file: str) -> list[Score]:
    given: dict[str, dict[str, list[float]]] = {system: defaultdict(list) for system in SYSTEMS[:2]}
    raters = set()
    for rating in ratings:
        if rating.criterion == criterion and rating.system in given:
            given[rating.system][rating.item].append(rating.rating)
            raters.add(rating.rater)
    base, tuned = given.values()
    items = [item for item in base if item in tuned]
    signature = signed(f"mean-of-raters-per-item,raters:{len(raters)}", f"ratings:{file[:12]}" if file else "")
    metric = f"{criterion}_human"
    if len(items) < LEAST_ITEMS:
        reason = f"{plural(len(items), 'item')} rated for both base and tuned; at least {LEAST_ITEMS} are needed"
        return not_scored(metric, reason, "higher", signed(signature, SIGNATURE))
    before, after = ([fmean(system[item]) for item in items] for system in (base, tuned))
    return mean_scores(metric, before, after, items, "higher", signature)
