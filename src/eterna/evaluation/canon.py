"""Canon: what nobody in the world may say, and what may not be told before its time.

A reply breaks the canon when a `never` pattern of canon.yaml matches it, or when it tells a revelación whose
prerequisites the player has not reached: one of its spoilers, or SPOILER_RUN words of its statement in a row.
Whether the `facts` hold cannot be found by patterns; they are for the writers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from eterna.evaluation.words import ngrams, words
from eterna.world import Canon, Revelacion

SPOILER_RUN = 8


@dataclass(frozen=True)
class Breach:
    """One reply that breaks one rule."""

    rule: str
    """Id of the ban or of the revelación."""
    kind: str
    """`never` or `too early`."""
    item: str
    reply: str
    matched: str
    """The words that break it."""

    def as_row(self) -> dict[str, Any]:
        """Plain values for canon.json."""
        return asdict(self)


@dataclass(frozen=True)
class Rules:
    """What a reply is held against before anybody sees it (`generation.redraws`)."""

    canon: Canon
    revelaciones: Mapping[str, Revelacion]

    def broken_by(self, text: str, known: Sequence[str]) -> bool:
        """Whether the reply breaks a rule. known: ids of the revelaciones the player has reached."""
        return bool(find_breaches(self.canon, self.revelaciones, [("", text, known)]))

    @property
    def digest(self) -> str:
        """12 hex digits that stand for the rules, for signatures of figures that depend on them."""
        told = [one.model_dump_json() for one in self.revelaciones.values()]
        return sha256("\n".join([self.canon.model_dump_json(), *told]).encode()).hexdigest()[:12]


def find_breaches(
    canon: Canon,
    revelaciones: Mapping[str, Revelacion],
    replies: Iterable[tuple[str, str, Sequence[str]]],
) -> list[Breach]:
    """Every rule that a reply breaks. replies: (item, text, ids of the revelaciones the player has reached)."""
    bans = [(ban.id, re.compile(ban.pattern, re.IGNORECASE)) for ban in canon.never]
    found = []
    for item, text, known in replies:
        for name, pattern in bans:
            if match := pattern.search(text):
                found.append(Breach(name, "never", item, text, match.group()))
        for revelacion in revelaciones.values():
            ready = revelacion.id in known or set(revelacion.requires) <= set(known)
            if not ready and (told := _told(text, revelacion)):
                found.append(Breach(revelacion.id, "too early", item, text, told))
    return found


def _told(text: str, revelacion: Revelacion) -> str | None:
    """The words of the text that give the revelación away."""
    said = f" {' '.join(words(text))} "
    runs = [words(spoiler) for spoiler in revelacion.spoilers]
    runs += [list(run) for run in ngrams(words(revelacion.statement), SPOILER_RUN)]
    told = (" ".join(run) for run in runs if run)
    return next((run for run in told if f" {run} " in said), None)
