"""The shipped world's held-out answers, as items."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from eterna.config import DataSection, Source
from eterna.data import Encoder, Item, choose_items, read_sources
from eterna.evaluation import Background
from eterna.models import find_model
from eterna.world import find_world, load_world


@dataclass(frozen=True)
class HeldOut:
    """Every answer of the validation and test parts, and what the metrics compare with."""

    items: list[Item]
    background: Background

    @property
    def references(self) -> list[str]:
        return [item.reference for item in self.items]


@pytest.fixture(scope="session")
def held_out() -> HeldOut:
    from transformers import AutoTokenizer

    world = load_world(find_world("eterna:biblioteca"))
    data = DataSection(
        train=[Source(world="examples")],
        eval=[Source(world="examples", split="validation"), Source(world="examples", split="test")],
        max_length=512,
    )
    parts: dict[str, list] = {"train": [], "eval": []}  # type: ignore[type-arg]
    for source in read_sources(data, world):
        parts[source.part] += source.content.examples
    tokenizer = AutoTokenizer.from_pretrained(find_model("eterna:base"))
    items, _ = choose_items(Encoder(tokenizer), parts["eval"], 1000, 512)
    return HeldOut(items, Background.of(parts["train"], world.revelaciones))
