"""Nothing in a world's folder is passed over in silence."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from eterna.errors import WorldError
from eterna.world import find_world, load_world
from eterna.world.layout import READ_FROM
from eterna.world.schema import World


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_world("eterna:biblioteca"), tmp_path / "world"))


def refusal(copy: Path) -> str:
    with pytest.raises(WorldError) as caught:
        load_world(copy)
    return str(caught.value)


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_revelaciones_that_are_no_list_are_refused(copy: Path) -> None:
    (copy / "revelaciones.yaml").write_text("doors: {statement: Doors open.}\n", encoding="utf-8")
    assert re.search(r"revelaciones.yaml:1: expected a list, found .*\n    fix: begin each .* `- id:`", refusal(copy))


@pytest.mark.parametrize("key", sorted(READ_FROM))
def test_a_key_that_is_read_from_elsewhere_is_refused(copy: Path, key: str) -> None:
    lines = len((copy / "world.yaml").read_text(encoding="utf-8").splitlines())
    add(copy / "world.yaml", f"{key}: x\n")
    assert f"world.yaml:{lines + 1}:1: {key} does not belong into world.yaml" in refusal(copy)


def test_every_key_of_a_world_is_written_or_read_from_elsewhere(copy: Path) -> None:
    written = {line.partition(":")[0] for line in (copy / "world.yaml").read_text(encoding="utf-8").splitlines()}
    assert READ_FROM.keys() | written >= World.model_fields.keys()


def test_an_id_that_is_not_the_file_s_name_is_refused(copy: Path) -> None:
    add(copy / "npcs" / "archivera.yaml", "id: bibliotecaria\n")
    assert re.search(r"archivera.yaml:\d+:1: id is 'bibliotecaria', but the file is called archivera", refusal(copy))


def test_an_id_that_is_the_file_s_name_may_stand_there(copy: Path) -> None:
    add(copy / "npcs" / "archivera.yaml", "id: archivera\n")
    assert load_world(copy).npcs["archivera"].id == "archivera"


@pytest.mark.parametrize(
    "name", ["canon.yaml", "revelaciones.yaml", "npcs/archivera.yaml", "places/sala_de_mapas.yaml"]
)
def test_a_yml_file_is_named(copy: Path, name: str) -> None:
    other = (copy / name).with_suffix(".yml")
    (copy / name).rename(other)
    assert f"{other}: {other.name} is not read\n    fix: rename it to {other.stem}.yaml" in refusal(copy)


@pytest.mark.parametrize("name", ["player", "narrator"])
def test_an_npc_cannot_be_called_as_another_speaker(copy: Path, name: str) -> None:
    shutil.copy(copy / "npcs" / "archivera.yaml", copy / "npcs" / f"{name}.yaml")
    assert f"an NPC cannot be called {name!r}" in refusal(copy)


def test_a_text_in_the_head_of_a_book_is_refused(copy: Path) -> None:
    path = copy / "books" / "bestiario.md"
    path.write_text(path.read_text(encoding="utf-8").replace("---\n", "---\ntext: x\n", 1), encoding="utf-8")
    assert "bestiario.md:2:1: text stands in the head of the book" in refusal(copy)
