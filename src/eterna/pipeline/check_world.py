"""`eterna world check`: what a world holds, and what it seems to lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from eterna.world import World
from eterna.world.schema import Split


@dataclass(frozen=True)
class WorldSurvey:
    """Counts over a sound world; warnings name what no rule forbids but nobody can have meant."""

    world: World
    words: int
    """Words of all books."""
    languages: list[str]
    """Languages of the examples, those the world names first."""
    by_split: dict[str, dict[str, int]]
    """Examples by split, then by language."""
    by_npc: dict[str, int]
    """Examples by NPC."""
    warnings: list[str]

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        world = self.world
        return {
            "id": world.id,
            "title": world.title,
            "sha256": world.sha256,
            "books": len(world.books),
            "words": self.words,
            "npcs": len(world.npcs),
            "places": len(world.places),
            "revelaciones": len(world.revelaciones),
            "examples": {"all": len(world.examples), "by_split": self.by_split, "by_npc": self.by_npc},
            "warnings": self.warnings,
        }


def survey_world(world: World) -> WorldSurvey:
    """Count what a loaded world holds."""
    spoken = {example.language for example in world.examples}
    splits = {
        split: dict(Counter(example.language for example in world.examples if example.split == split))
        for split in get_args(Split)
    }
    heard = Counter(example.npc for example in world.examples)
    return WorldSurvey(
        world,
        words=sum(len(book.text.split()) for book in world.books.values()),
        languages=list(dict.fromkeys([*world.languages, *sorted(spoken)])),
        by_split=splits,
        by_npc={name: heard[name] for name in world.npcs},
        warnings=list(_warnings(world)),
    )


def _warnings(world: World) -> Iterator[str]:
    examples = world.examples
    for name in sorted(world.npcs.keys() - {example.npc for example in examples}):
        yield f"the NPC {name} has no examples: nothing teaches its voice"
    for name in sorted(world.revelaciones.keys() - {name for example in examples for name in example.serves}):
        yield f"no example serves the revelación {name}: nothing teaches its hints"
    peopled = {npc.place for npc in world.npcs.values()} | {example.place for example in examples}
    for name in sorted(world.places.keys() - peopled):
        yield f"nobody is in the place {name}: no NPC lives there and no example is set there"
    for split in get_args(Split):
        if split not in {example.split for example in examples}:
            yield f"no example is of the split {split}"
    for language in sorted({example.language for example in examples} - set(world.languages)):
        yield f"examples are in {language}, which world.yaml does not name under languages"
