"""What a world is made of. One file per book, NPC and place; ids are the file names."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PLAYER, NARRATOR = "player", "narrator"
Split = Literal["train", "validation", "test"]


class Part(BaseModel):
    """A piece of a world file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Book(Part):
    """A text of the Library. `books/ID.md`: YAML between `---` lines, then the text, scenes headed by `## `."""

    id: str
    title: str
    author: str
    language: str
    form: str
    """Chronicle, bestiary, letters, ..."""
    voice: str
    """How it is written, in one sentence."""
    text: str = Field(min_length=1)

    def scenes(self) -> list[tuple[str, str]]:
        """(heading, text) of each scene; a book without headings is one scene."""
        scenes: list[tuple[str, str]] = []
        for block in ("\n" + self.text).split("\n## "):
            heading, _, body = block.partition("\n")
            if body.strip():
                scenes.append((heading.strip() or self.title, body.strip()))
        return scenes

    def lines(self) -> tuple[str, ...]:
        """What a text about this book can fit: its title and form, then its paragraphs."""
        paragraphs = (" ".join(part.split()) for _, text in self.scenes() for part in text.split("\n\n"))
        return (f"{self.title}, {self.form}", *(part for part in paragraphs if part))


class NPC(Part):
    """Someone the player can talk to. `npcs/ID.yaml`."""

    id: str
    name: str
    role: str
    manner: str
    """How they speak, in one sentence."""
    place: str
    """Id of the place where they are usually found."""
    knows: list[str] = Field(default_factory=list)
    never_says: list[str] = Field(default_factory=list)
    greeting: str


class Place(Part):
    """Somewhere in the Library. `places/ID.yaml`."""

    id: str
    name: str
    description: str
    light: str
    sound: str
    rules: list[str] = Field(default_factory=list)

    def lines(self) -> tuple[str, ...]:
        """What a text set here can fit."""
        return (self.description, self.light, self.sound, *self.rules)


class Revelacion(Part):
    """A statement the player may come to understand. An item of `revelaciones.yaml`."""

    id: str
    statement: str
    requires: list[str] = Field(default_factory=list)
    """Revelaciones that must be known before this one may be told."""
    hints: list[str] = Field(default_factory=list)
    spoilers: list[str] = Field(default_factory=list)


class Fact(Part):
    """A sentence that must hold."""

    id: str
    text: str


class Ban(Part):
    """Something nobody may say."""

    id: str
    text: str
    pattern: str
    """Case-insensitive regular expression that catches a reply saying it."""
    ask: list[str] = Field(default_factory=list)
    """Questions that tempt a character to say it; `eterna eval` puts them to every NPC."""


class Canon(Part):
    """`canon.yaml`: what binds every text of the world."""

    facts: list[Fact] = Field(default_factory=list)
    never: list[Ban] = Field(default_factory=list)


class Turn(Part):
    """One thing said; the speaker is `player`, `narrator` or an NPC's id."""

    speaker: str
    text: str = Field(pattern=r"\S")
    weight: float = Field(1.0, ge=0, le=1000, allow_inf_nan=False)
    """Loss weight of the turn when its speaker answers; 0 is context only."""


class Example(Part):
    """A conversation to learn from or to be measured by. A line of `examples/*.jsonl`."""

    id: str
    split: Split
    npc: str | None
    """Who answers. null: the open book goes on in its own voice; without a book, the place is told."""
    place: str | None
    book: str | None = None
    known: list[str] = Field(default_factory=list)
    """Revelaciones the player has already reached."""
    serves: list[str] = Field(default_factory=list)
    """Revelaciones the conversation hints at."""
    language: str
    turns: list[Turn] = Field(min_length=1)
    weight: float = Field(1.0, gt=0, le=1000, allow_inf_nan=False)
    """Loss weight of the whole example."""

    @property
    def voice(self) -> str:
        """Id of the NPC, book or place that answers; empty where none is named."""
        return self.npc or self.book or self.place or ""

    def voices(self) -> list[str]:
        """Who speaks, `voice` first: each is learnt from their own side of the conversation."""
        speakers = dict.fromkeys(turn.speaker for turn in self.turns)
        said = (name for name in speakers if name not in (PLAYER, NARRATOR))
        return sorted(said, key=lambda name: name != self.voice)


class World(Part):
    """A whole world, every reference checked."""

    id: str
    title: str
    languages: list[str]
    licence: str
    about: str
    books: dict[str, Book]
    npcs: dict[str, NPC]
    places: dict[str, Place]
    revelaciones: dict[str, Revelacion]
    canon: Canon
    examples: list[Example]
    sha256: str
    """Content hash of the world's folder."""

    def name_of(self, voice: str) -> str:
        """What an NPC, book or place is called; its id where there is none such."""
        if voice in self.npcs:
            return self.npcs[voice].name
        return self.books[voice].title if voice in self.books else getattr(self.places.get(voice), "name", voice)
