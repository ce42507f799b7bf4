"""From the data section to the sources that a run really has: read, a share held out, copies settled."""

from __future__ import annotations

from eterna.config import DataSection
from eterna.data.copies import Copies, settle_copies
from eterna.data.hold_out import hold_out
from eterna.data.prepare import ReadSource, read_sources
from eterna.world import World


def gather_sources(data: DataSection, seed: int, world: World | None) -> tuple[list[ReadSource], Copies]:
    """Training and held-out sources, and the copies among them. seed: `training.seed`. Raises DataError."""
    return settle_copies(hold_out(read_sources(data, world), data.hold_out, seed), data)


def gather_again(data: DataSection, seed: int, world: World | None) -> list[ReadSource]:
    """The same sources for a run that is already trained: nothing is refused, and copies are looked for only where
    some were taken out."""
    read = hold_out(read_sources(data, world), data.hold_out, seed)
    policies = {name: getattr(data, name) for name in ("duplicates", "near_duplicates", "leaks", "near_leaks")}
    if "remove" not in policies.values():
        return read
    lenient = {name: "warn" for name, policy in policies.items() if policy == "error"}
    return settle_copies(read, data.model_copy(update=lenient))[0]
