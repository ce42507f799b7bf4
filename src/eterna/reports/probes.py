"""Probes: the same prompt before and after training, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MAX_PROBES = 60
SPEAKERS = {"system": "System text", "user": "Player", "assistant": "Character"}


@dataclass(frozen=True)
class Turn:
    """One message of the context."""

    speaker: str
    text: str


@dataclass(frozen=True)
class Reply:
    """What a model answered at one step."""

    step: int
    text: str
    cut: bool
    """It did not stop by itself."""


@dataclass(frozen=True)
class Probe:
    """One prompt with its replies."""

    title: str
    system: list[Turn]
    earlier: list[Turn]
    last: Turn | None
    """The turn that is answered."""
    reference: str | None
    base: Reply | None
    tuned: Reply | None
    others: list[Reply]
    """Of the other steps."""


def probes_of(samples: Iterable[dict[str, Any]], kept: int | None = None) -> list[Probe]:
    """Samples gathered by probe, in the order the probes first appear.

    kept: the step whose weights became the final model; the last one where None.
    """
    gathered: dict[str, dict[int, dict[str, Any]]] = {}
    for sample in samples:
        gathered.setdefault(str(sample.get("probe", "")), {})[int(sample.get("step", 0))] = sample
    return [_probe(name, by_step, kept) for name, by_step in gathered.items()]


def _probe(name: str, by_step: dict[int, dict[str, Any]], kept: int | None) -> Probe:
    latest = by_step[max(by_step)]
    turns = [message for message in latest.get("messages") or [] if isinstance(message, dict)]
    system = [_turn(message) for message in turns if message.get("role") == "system"]
    spoken = [_turn(message) for message in turns if message.get("role") != "system"]
    replies = [_reply(step, by_step[step]) for step in sorted(by_step)]
    trained = [reply for reply in replies if reply.step > 0]
    tuned = next((reply for reply in trained if reply.step == kept), trained[-1] if trained else None)
    return Probe(
        title=str(latest.get("title") or name or "Untitled probe"),
        system=system,
        earlier=spoken[:-1],
        last=spoken[-1] if spoken else None,
        reference=str(latest.get("reference") or "") or None,
        base=next((reply for reply in replies if reply.step == 0), None),
        tuned=tuned,
        others=[reply for reply in trained if reply is not tuned],
    )


def _turn(message: dict[str, Any]) -> Turn:
    role = str(message.get("role", ""))
    return Turn(SPEAKERS.get(role, role or "Unnamed"), str(message.get("content") or ""))


def _reply(step: int, sample: dict[str, Any]) -> Reply:
    return Reply(step, str(sample.get("reply") or ""), sample.get("stopped") is False)
