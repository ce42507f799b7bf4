"""Base against tuned: the rows of the score table and one plain sentence on what they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from eterna.reports.signs import decimals_for, number, pair, percent
from eterna.runs import Score

Outcome = Literal["better", "worse", "not shown", "unknown"]

SYSTEMS = {"base": "Base model", "tuned": "Tuned model", "difference": "Difference"}
CONTROL = {"control": "Control", "tuned": "Tuned model", "against_control": "Difference"}
UNSAID = "Nothing can be said about whether training helped"
LEADING = ("perplexity", "bits_per_byte")
EXPLAINED = {
    "perplexity": (
        "Perplexity is, roughly, among how many next tokens the model hesitates at each step: "
        "lower means less surprised."
    ),
    "bits_per_byte": (
        "Bits per byte is how much the model would still have to be told to write each byte of the text: "
        "lower means less surprised."
    ),
}
# Said under each metric's name; the metric's own file has the formula, the source and the weaknesses.
MEANING = {
    "perplexity": "surprise at the held-out text",
    "bits_per_byte": "surprise per byte, comparable between tokenizers",
    "bleu": "overlap with the reference, not quality",
    "rouge1": "words shared with the reference, not quality",
    "rouge2": "word pairs shared with the reference, not quality",
    "rougeL": "longest common sequence with the reference, not quality",
    "relevancy": "fits its own context better than another; chance 0.5",
    "coherence": "sentences follow from what was said and from each other",
    "style": "sounds like its own voice rather than another; chance 0.5",
    "style_pooled": "the same for all replies of a voice as one text",
    "style_attributed": "share of people told apart by all their replies; chance 1 / people",
    "insightfulness_proxy": "points to the revelación without telling it; ordinary talk 0.5; a proxy",
    "insightfulness_human": "mean rating by people",
    "general_perplexity": "surprise at general text: what was forgotten",
    "distinct_1": "share of different words",
    "distinct_2": "share of different word pairs",
    "distinct_3": "share of different word triples",
    "repetition": "share of a reply that repeats itself",
    "length_gap": "how far its length is from the reference's",
    "empty": "share of empty replies",
    "stopped": "share of replies that ended by themselves",
    "language_drift": "share of replies in another language than the reference",
    "copied_run": "longest run of words copied from the training text",
}
HEALTH = tuple(MEANING)[list(MEANING).index("general_perplexity") :]


@dataclass(frozen=True)
class Row:
    """One metric of the score table."""

    metric: str
    label: str
    meaning: str
    """What it says, in a few words; may be empty."""
    better: str
    """Which way is better, in words."""
    cells: dict[str, Score | None]
    """Score by system; None where that system was not scored."""
    outcome: Outcome
    decimals: int
    """How exactly its figures are written."""


@dataclass(frozen=True)
class Verdict:
    """What the scores show, for somebody who reads only this."""

    outcome: Outcome
    sentence: str
    notes: list[str] = field(default_factory=list)


def score_rows(scores: list[Score]) -> list[Row]:
    """Scores on all items by metric, in the order they were written."""
    return _rows([score for score in scores if score.whole])


def split_rows(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """(what the run is about, text health)."""
    return [row for row in rows if row.metric not in HEALTH], [row for row in rows if row.metric in HEALTH]


def slice_rows(scores: list[Score]) -> list[Row]:
    """Scores on a part of the items, such as one voice, by metric and part."""
    return _rows([score for score in scores if not score.whole])


def control_rows(scores: list[Score]) -> list[Row]:
    """Scores on all items beside the control's; empty without a control."""
    return [row for row in _rows([one for one in scores if one.whole], CONTROL) if row.cells["control"]]


def _rows(scores: list[Score], systems: Mapping[str, str] = SYSTEMS) -> list[Row]:
    by_metric: dict[tuple[str, str], dict[str, Score]] = {}
    for score in scores:
        if score.system not in systems:
            continue
        by_metric.setdefault((score.name, "" if score.whole else score.part), {})[score.system] = score
    rows = []
    for (metric, part), found in by_metric.items():
        better = f"{next(iter(found.values())).direction} is better"
        cells = {system: found.get(system) for system in systems}
        decimals = decimals_for(score.value for score in found.values() if score.value is not None)
        name = f"{label(metric)}, {part}" if part else label(metric)
        meaning = "" if part else MEANING.get(metric, "")
        rows.append(Row(metric, name, meaning, better, cells, _outcome(found.get(list(systems)[-1])), decimals))
    return rows


def label(metric: str) -> str:
    """A metric's name as words."""
    return metric.replace("_", " ")


def verdict(rows: list[Row]) -> Verdict:
    """One sentence on the most telling metric that both models have a value for."""
    if not rows:
        return Verdict("unknown", "This run has not been scored yet, so nothing can be said about whether it helped.")
    ranked = sorted(rows, key=lambda row: LEADING.index(row.metric) if row.metric in LEADING else len(LEADING))
    row = next((row for row in ranked if _values(row)), ranked[0])
    notes = [EXPLAINED[row.metric]] if row.metric in EXPLAINED else []
    values = _values(row)
    if values is None:
        return Verdict("unknown", _unscored_sentence(row), notes)
    base, tuned = pair(*values)
    share = percent(*values)
    change = f"{row.label} {base} → {tuned}" + (f" ({share})" if share else "")
    return Verdict(row.outcome, _sentence(row, change, values), notes)


def _outcome(difference: Score | None) -> Outcome:
    if difference is None or difference.value is None or difference.low is None or difference.high is None:
        return "unknown"
    if difference.low <= 0 <= difference.high:
        return "not shown"
    return "better" if (difference.value < 0) == (difference.direction == "lower") else "worse"


def _values(row: Row) -> tuple[float, float] | None:
    base, tuned = row.cells["base"], row.cells["tuned"]
    if base is None or tuned is None or base.value is None or tuned.value is None:
        return None
    return base.value, tuned.value


def _sentence(row: Row, change: str, values: tuple[float, float]) -> str:
    difference = row.cells["difference"]
    surprise = row.metric in LEADING
    if row.outcome == "better":
        finding = "is less surprised by the held-out text" if surprise else "does better on the held-out data"
        return f"The tuned model {finding}: {change}."
    if row.outcome == "worse":
        finding = "is more surprised by the held-out text" if surprise else "does worse on the held-out data"
        return f"The tuned model {finding} than the base model, so training made it worse here: {change}."
    if row.outcome == "not shown" and difference and difference.low is not None and difference.high is not None:
        interval = f"{number(difference.low)} to {number(difference.high)}"
        return (
            f"No difference between the base model and the tuned model was shown: {change}, "
            f"but the 95 % interval of the difference, {interval}, includes zero."
        )
    moved = "changed" if values[0] != values[1] else "stayed the same"
    return f"On the held-out data the figures {moved}, {change}, but without an interval this may be chance."


def _unscored_sentence(row: Row) -> str:
    for system in ("base", "tuned"):
        score = row.cells[system]
        if score is not None and score.value is None:
            reason = score.reason or "no reason was recorded"
            return f"{UNSAID}: {row.label} could not be scored: {reason}."
    missing = "base" if row.cells["base"] is None else "tuned"
    return f"{UNSAID}: the {missing} model has not been scored yet."
