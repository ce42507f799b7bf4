"""The world: books, NPCs, places, revelaciones and the canon that binds them. Plain data, no torch."""

from eterna.world.loading import find_world, load_canon, load_world
from eterna.world.prompt import Block, Context, Message, Scene, arrange, build_messages, fit_turns
from eterna.world.schema import NPC, Book, Canon, Example, Place, Revelacion, Turn, World

__all__ = [
    "NPC",
    "Block",
    "Book",
    "Canon",
    "Context",
    "Example",
    "Message",
    "Place",
    "Revelacion",
    "Scene",
    "Turn",
    "World",
    "arrange",
    "build_messages",
    "find_world",
    "fit_turns",
    "load_canon",
    "load_world",
]
