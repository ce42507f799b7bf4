"""Small things about text that several layers need: showing a value or an error safely, finding the nearest name."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from itertools import islice
from typing import Any


def shown(value: object, limit: int = 60) -> str:
    """A value as it may appear in a message: quoted, control signs escaped, shortened to `limit` characters."""
    quoted = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in repr(_beginning(value, limit)))
    return quoted if len(quoted) <= limit else quoted[: limit - 2] + quoted[0] + "…"


def _beginning(value: Any, limit: int) -> Any:
    """As much of a value as its first `limit` characters need: what is shown of 8 MB costs no more than of 80 bytes."""
    if isinstance(value, str | bytes):
        return value[: limit + 1]
    if isinstance(value, int) and abs(value) >= 10**limit:
        return f"a number of about {value.bit_length() * 3 // 10:,} digits"
    if limit <= 0:
        return "…"
    if isinstance(value, dict):
        return {_beginning(key, limit): _beginning(item, limit - 8) for key, item in islice(value.items(), limit)}
    if isinstance(value, list):
        return [_beginning(item, limit - 2) for item in islice(value, limit)]
    return value


def printable(text: str) -> str:
    """Text as a terminal may get it: line breaks stay, every other control sign, also the invisible, is escaped."""
    if text.isprintable():
        return text
    return "".join(sign if sign in "\n\t" or _is_visible(sign) else ascii(sign)[1:-1] for sign in text)


def _is_visible(sign: str) -> bool:
    return sign.isprintable() or unicodedata.category(sign) == "Zs"


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


def first_line(error: BaseException, limit: int = 300) -> str:
    """The first line of what an error says, at most `limit` characters; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:limit]


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
