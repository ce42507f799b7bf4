"""Keeping a share of the training data for evaluation, by whole groups: conversations, books, scenes.

Which groups are kept is a pure function of the seed and their names, so an example that is added or taken away moves no
other one from training to evaluation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from eterna.data.prepare import ReadSource
from eterna.data.sources import SourceContent
from eterna.errors import DataError, Problem

HELD_OUT = "(held out)"


def hold_out(read: Sequence[ReadSource], share: float, seed: int) -> list[ReadSource]:
    """`read` with about `share` of the groups of each file of data.train taken into a source of data.eval.

    A group is never divided, not even between two files. Sources of a world keep their own splits. Raises DataError
    where a file holds one group only.
    """
    if not share:
        return list(read)
    groups = {
        number: {example.group for example in source.content.examples}
        for number, source in enumerate(read)
        if source.part == "train" and not source.of_world
    }
    chosen = choose_groups(groups, share, seed)
    problems = [_problem(read[number], names) for number, names in groups.items() if not _divides(names, chosen)]
    if problems:
        raise DataError(problems)
    kept: list[ReadSource] = []
    taken: list[ReadSource] = []
    for number, source in enumerate(read):
        if number not in groups:
            kept.append(source)
            continue
        kept.append(replace(source, content=_part(source.content, groups[number] - chosen)))
        content = _part(source.content, chosen)
        names = "\0".join([source.content.sha256, *(example.id for example in content.examples)])
        # Its hash says which half it is: two seeds hold out two different sets.
        sha256 = hashlib.sha256(names.encode("utf-8", "surrogatepass")).hexdigest()
        taken.append(ReadSource("eval", f"{source.name} {HELD_OUT}", 1.0, replace(content, sha256=sha256)))
    return [*kept, *taken]


def choose_groups(groups: Mapping[int, Set[str]], share: float, seed: int) -> frozenset[str]:
    """The groups that are held out. groups: names by source; each source with two or more gets both sides."""
    chosen = {name for names in groups.values() for name in names if rank(seed, name) < share}
    for names in groups.values():
        if len(names) > 1 and not names & chosen:
            chosen.add(min(names, key=lambda name: rank(seed, name)))
    for names in groups.values():
        if len(names) > 1 and names <= chosen:
            chosen.discard(max(names, key=lambda name: rank(seed, name)))
    return frozenset(chosen)


def rank(seed: int, group: str) -> float:
    """A number in [0, 1) for a group, evenly spread over groups and seeds."""
    key = seed.to_bytes(8, "big")
    digest = hashlib.blake2b(group.encode("utf-8", "surrogatepass"), digest_size=7, key=key, person=b"hold-out")
    return int.from_bytes(digest.digest(), "big") / 2**56


def _divides(names: Set[str], chosen: Set[str]) -> bool:
    return bool(names & chosen) and bool(names - chosen)


def _part(content: SourceContent, names: Set[str]) -> SourceContent:
    return replace(content, examples=[example for example in content.examples if example.group in names])


def _problem(source: ReadSource, names: Set[str]) -> Problem:
    if len(names) == 1:
        message = f"data.hold_out cannot divide {source.name}: all of it is one group, and no group is ever divided"
    else:
        message = f"data.hold_out cannot divide {source.name}: its groups also stand in other files"
    fix = "give its rows a `group` column, or remove data.hold_out and name held-out data under data.eval"
    return Problem(message, fix=fix)
