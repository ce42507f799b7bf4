"""What a run's config names besides its model and data: the world, the canon, human ratings, general text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eterna.config import EvaluationSection, RunConfig
from eterna.evaluation import Rating, general_paragraphs, general_path, read_ratings
from eterna.files import sha256_of
from eterna.pipeline.control import Control, read_control
from eterna.world import Canon, World, find_world, load_canon, load_world


def read_world(config: RunConfig) -> World | None:
    """The world that `world:` names, None where it names none. Raises WorldError."""
    return load_world(find_world(config.world)) if config.world else None


def prompt_room(config: RunConfig) -> int:
    """Longest prompt, in tokens, that leaves room for a reply in the window."""
    return config.data.max_length - config.generation.max_new_tokens


@dataclass(frozen=True)
class Yardsticks:
    """The files that replies and losses are held against, as they were read."""

    canon: Canon
    """Of evaluation.canon, else the world's; empty where there is neither."""
    general: list[tuple[str, str]]
    """(id, text) of each paragraph."""
    general_sha256: str
    ratings: list[Rating]
    """Empty where none were given."""
    ratings_sha256: str
    control: Control | None = None
    """Another run's model to hold this one against; None where none was given."""


def read_canon(settings: EvaluationSection, world: World | None) -> Canon:
    """The canon of `evaluation.canon`, else the world's; empty where there is neither. Raises UserError."""
    if settings.canon:
        return load_canon(Path(settings.canon))
    return world.canon if world else Canon()


def read_yardsticks(settings: EvaluationSection, world: World | None) -> Yardsticks:
    """Read the files of the evaluation section; needs no model. Raises UserError."""
    general = general_path(settings.general)
    paragraphs = general_paragraphs(general)
    ratings = Path(settings.ratings) if settings.ratings else None
    return Yardsticks(
        read_canon(settings, world),
        paragraphs,
        sha256_of(general),
        read_ratings(ratings) if ratings else [],
        sha256_of(ratings) if ratings else "",
        read_control(settings.control) if settings.control else None,
    )
