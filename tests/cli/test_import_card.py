"""`eterna world import-card`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.world.cards import V2, V3, packed, png, text_chunk

from eterna.pipeline.init import STARTER


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "mira.png").write_bytes(png(text_chunk("ccv3", packed(V3))))
    (tmp_path / "mira.json").write_text(json.dumps(V2), encoding="utf-8")
    return Path(shutil.copytree(STARTER / "world", tmp_path / "world"))


def test_the_world_is_sound_with_the_card(eterna: Run, world: Path) -> None:
    done = eterna("world", "import-card", "mira.png", "world", "--place", "landing")
    assert done.returncode == 0, done.stderr
    assert "Mira Vale (mira_vale), from a card V3" in done.stdout
    assert "written: world/npcs/mira_vale.yaml" in done.stdout
    assert "note: not taken over: scenario" in done.stdout
    checked = eterna("world", "check", "world", "--json")
    assert json.loads(checked.stdout)["examples"]["by_npc"]["mira_vale"] == 2
    again = eterna("world", "import-card", "mira.png", "world", "--place", "landing")
    assert again.returncode == 2
    assert "exists already" in again.stderr
    other = eterna("world", "import-card", "mira.json", "world", "--place", "taproom", "--id", "mira", "--json")
    assert json.loads(other.stdout)["npc"]["place"] == "taproom"


def test_a_world_of_several_places_asks_for_one(eterna: Run, world: Path) -> None:
    done = eterna("world", "import-card", "mira.json", "world")
    assert done.returncode == 2
    assert "--place landing or taproom" in done.stderr
    assert not (world / "npcs" / "mira_vale.yaml").exists()
