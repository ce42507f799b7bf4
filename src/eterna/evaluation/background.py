"""What the metrics compare with: the training texts of each voice, the world's revelaciones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from eterna.data import Item, RawExample
from eterna.evaluation.sentences import language_of
from eterna.world import Revelacion

MOST_IDLE = 256
"""Ordinary answers that are kept of each language: more of them move a share by less than its own interval."""


@dataclass(frozen=True, eq=False)  # known by which it is: what was reckoned from one is kept
class Background:
    """Texts that were trained on, and the insights of the world."""

    voices: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    """(voice, language) -> what it says in the training data."""
    training: Sequence[str] = ()
    """Every trained text."""
    idle: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """language -> trained answers that serve no revelación: ordinary talk, MOST_IDLE at most."""
    revelaciones: Mapping[str, Revelacion] = field(default_factory=dict)
    things: frozenset[str] = frozenset()
    """Voices that are no people: books that go on, places that are told of."""

    def is_person(self, voice: str) -> bool:
        """Whether a voice is somebody's."""
        return voice not in self.things

    @cached_property
    def digest(self) -> str:
        """12 hex digits that stand for all of it, for signatures of figures that depend on it."""
        said = [sorted(self.voices.items()), list(self.training), sorted(self.idle.items())]
        insights = sorted((name, one.statement) for name, one in self.revelaciones.items())
        return sha256(repr([*said, insights]).encode("utf-8", "surrogatepass")).hexdigest()[:12]

    @classmethod
    def of(cls, examples: Sequence[RawExample], revelaciones: Mapping[str, Revelacion]) -> Background:
        """From the training examples and the world."""
        voices: dict[tuple[str, str], list[str]] = {}
        idle: dict[str, list[str]] = {}
        training: list[str] = []
        scenes = [example.scene for example in examples]
        things = frozenset(one.voice for one in scenes if one.voice and one.voice in (one.book, one.place))
        for example in examples:
            texts = [message["content"] for message in example.messages if message["role"] == "assistant"]
            texts = texts or [example.text]
            training += texts
            if example.scene.voice:
                language = example.scene.language or language_of(" ".join(texts))
                voices.setdefault((example.scene.voice, language), []).extend(texts)
                if example.messages and not example.scene.serves:
                    idle.setdefault(language, []).extend(texts)
        few = {language: _drawn(texts, MOST_IDLE) for language, texts in idle.items()}
        return cls(voices, training, few, revelaciones, things)


def _drawn(texts: Sequence[str], most: int) -> list[str]:
    """So many of the texts at most, in their order: those whose own digest comes first, whatever else there is."""
    chosen = set(sorted(set(texts), key=lambda text: sha256(text.encode("utf-8", "surrogatepass")).digest())[:most])
    return [text for text in dict.fromkeys(texts) if text in chosen]


def item_language(item: Item) -> str:
    """The language an item says it has, else that of its reference."""
    return item.scene.language or language_of(item.reference)
