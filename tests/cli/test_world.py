"""`eterna world check`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import Run

from eterna.pipeline.check_world import survey_world
from eterna.pipeline.init import STARTER
from eterna.world import load_world


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STARTER / "world", tmp_path / "world"))


def test_the_counts_of_a_sound_world(eterna: Run, world: Path) -> None:
    done = eterna("world", "check", "world", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["books"], found["npcs"], found["places"], found["revelaciones"]) == (1, 2, 2, 2)
    assert found["examples"] == {
        "all": 12,
        "by_split": {"train": {"en": 6, "es": 2}, "validation": {"en": 2}, "test": {"es": 1, "en": 1}},
        "by_npc": {"ferryman": 6, "innkeeper": 6},
    }
    assert found["words"] == 279
    assert found["warnings"] == []


def test_the_shipped_world_is_known_by_its_name(eterna: Run) -> None:
    done = eterna("world", "check", "eterna:biblioteca")
    assert done.returncode == 0, done.stderr
    assert "La Biblioteca Eterna (biblioteca): 13 books" in done.stdout
    assert "the world is sound" in done.stdout


def test_mistakes_are_named_with_file_and_line(eterna: Run, world: Path) -> None:
    path = world / "examples" / "ferryman.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"landing"', '"landng"', 1), encoding="utf-8")
    done = eterna("world", "check", "world")
    assert done.returncode == 2
    assert "world/examples/ferryman.jsonl:1: " in done.stderr
    assert "did you mean 'landing'" in done.stderr
    assert done.stdout == ""


def test_what_nobody_can_have_meant_is_a_warning(world: Path) -> None:
    lines = (world / "examples" / "ferryman.jsonl").read_text(encoding="utf-8").splitlines()
    (world / "examples" / "innkeeper.jsonl").unlink()
    kept = [line.replace('"language": "es"', '"language": "fr"') for line in lines if '"test"' not in line]
    (world / "examples" / "ferryman.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    (world / "places" / "attic.yaml").write_text("name: Attic\ndescription: d\nlight: l\nsound: s\n", encoding="utf-8")
    assert survey_world(load_world(world)).warnings == [
        "the NPC innkeeper has no examples: nothing teaches its voice",
        "no example serves the revelación book_is_first: nothing teaches its hints",
        "nobody is in the place attic: no NPC lives there and no example is set there",
        "no example is of the split test",
        "examples are in fr, which world.yaml does not name under languages",
    ]


def test_warnings_do_not_fail(eterna: Run, world: Path) -> None:
    (world / "examples" / "innkeeper.jsonl").unlink()
    done = eterna("world", "check", "world")
    assert done.returncode == 0
    assert "warning: the NPC innkeeper has no examples" in done.stdout
