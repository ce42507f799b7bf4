"""What became of each source, and making examples fit the window."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eterna.data.encoding import Encoded
from eterna.errors import Problem
from eterna.text import plural


@dataclass
class SourceReport:
    """What became of one source."""

    part: str
    """`train` or `eval`."""
    name: str
    sha256: str
    weight: float
    read: int = 0
    """Examples in the source."""
    examples: int = 0
    """Examples the model sees; more than were read where long texts were split."""
    tokens: int = 0
    trained_tokens: int = 0
    dropped: int = 0
    """Examples past the window left out (too_long: drop)."""
    dropped_tokens: int = 0
    """What they hold."""
    cut: int = 0
    """Tokens cut off the left (too_long: cut_left)."""
    excluded: int = 0
    """Examples left out because their speaker is not in data.train_on."""
    skipped: int = 0
    """Rows left out because they cannot be used (skip_bad)."""
    removed_copies: int = 0
    """Examples left out because they stand elsewhere too (duplicates, near_duplicates, leaks, near_leaks: remove)."""
    commit: str | None = None
    """Of a Hub data set."""


def fit(
    example: Encoded, is_chat: bool, window: int, policy: str, report: SourceReport, whole: bool = False
) -> list[Encoded] | Problem:
    """Make a training example fit the window by the chosen policy, counting what was lost in `report`.

    whole: every token of a conversation is trained, so that there is no answer to keep whole.
    """
    length = len(example.ids)
    if length <= window:
        return [example]
    if policy == "drop":
        report.dropped += 1
        report.dropped_tokens += length
        return []
    if policy == "split" and not is_chat:
        return _windows(example, window)
    if policy == "cut_left":
        lost = length - window
        kept = replace(example, ids=example.ids[lost:], weights=(0.0, *example.weights[lost + 1 :]), cut=lost)
        if is_chat and not whole and not _starts_in_context(example, lost):
            return Problem(
                f"the last answer alone is longer than the window of {window} tokens",
                fix="raise data.max_length",
            )
        report.cut += lost
        return [kept]
    ways = "set data.too_long to drop or cut_left" if is_chat else "set data.too_long to split, drop or cut_left"
    return Problem(
        f"{plural(length, 'token')} do not fit data.max_length {window}",
        fix=f"raise data.max_length, or {ways}",
    )


def _starts_in_context(example: Encoded, lost: int) -> bool:
    """Whether the last answer survives a cut of `lost` tokens whole: its first token is kept with one before it."""
    last = max(index for index, weight in enumerate(example.weights) if weight > 0)
    while last > 0 and example.weights[last - 1] > 0:
        last -= 1
    return last > lost


def _windows(example: Encoded, window: int) -> list[Encoded]:
    """Consecutive windows that share one token, so that every token but the first is trained exactly once."""
    pieces = []
    for number, start in enumerate(range(0, len(example.ids) - 1, window - 1), start=1):
        ids = example.ids[start : start + window]
        weights = (0.0, *example.weights[start + 1 : start + window])
        pieces.append(replace(example, id=f"{example.id}~{number}", ids=ids, weights=weights, trained_bytes=0))
    return pieces
