"""Small things about text that several layers need: showing a value safely, finding the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def shown(value: object, limit: int = 60) -> str:
    """A value as it may appear in a message: quoted, control signs escaped, shortened to `limit` characters."""
    quoted = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in repr(value))
    return quoted if len(quoted) <= limit else quoted[: limit - 2] + quoted[0] + "…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, or None when nothing is near.

    By typing mistakes first: letters left out, added, replaced or swapped (Damerau 1964, restricted), a third of the
    letters at most; of equally far names the one that shares more with `name` (difflib). Then a name that is merely
    alike, and one that contains it.
    """
    by_folded = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    folded = name.lower().replace("-", "_")
    if folded in by_folded:
        return by_folded[folded]

    def rank(candidate: str) -> tuple[int, float]:
        return mistakes(folded, candidate), -difflib.SequenceMatcher(None, folded, candidate).ratio()

    near = [candidate for candidate in by_folded if abs(len(candidate) - len(folded)) <= 2]
    best = min(near, key=rank, default=None)
    if best is not None and mistakes(folded, best) <= max(1, min(2, len(folded) // 3)) and set(best) & set(folded):
        return by_folded[best]
    matches = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    if not matches and len(folded) > 3:
        matches = sorted((candidate for candidate in by_folded if folded in candidate), key=len)
    return by_folded[matches[0]] if matches else None


def mistakes(written: str, meant: str) -> int:
    """Letters left out, added, replaced, or swapped with their neighbour, between two words (optimal alignment)."""
    before: list[int] = []
    above = list(range(len(meant) + 1))
    for row, sign in enumerate(written, start=1):
        current = [row]
        for column, other in enumerate(meant, start=1):
            least = min(above[column] + 1, current[-1] + 1, above[column - 1] + (sign != other))
            if row > 1 and column > 1 and sign == meant[column - 2] and written[row - 2] == other:
                least = min(least, before[column - 2] + 1)
            current.append(least)
        before, above = above, current
    return above[-1]


def name_hint(name: str, known: Iterable[str], limit: int = 15) -> str:
    """A fix line for an unknown name: the nearest one, or else the known names, at most `limit` of them."""
    names = sorted(known)
    if match := nearest(name, names):
        return f"did you mean {match!r}?"
    return (
        "known names: " + ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
    )


def plural(count: int, noun: str) -> str:
    """`1 token`, `1,234 tokens`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 07 min`: a time for people."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
