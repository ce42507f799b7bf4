"""Bad input that is too large or too odd to be stored: made here, refused like the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.bad_input.cases import FILES, Case, check_refusal, listing, run_here

Make = Callable[[Path], None]
TRAIN = ["train", "run.yaml"]
WORLD = ["world", "check", "world"]


@dataclass(frozen=True)
class Made:
    """What `make` adds to the small sound project, the command, and what stands on stderr."""

    row: str
    name: str
    make: Make
    words: list[str]
    place: str
    value: str
    fix: str


def written(name: str, content: Callable[[], str]) -> Make:
    """Writes one file, its text made when it is needed."""

    def make(folder: Path) -> None:
        (folder / name).write_text(content(), encoding="utf-8")

    return make


def link(name: str, target: str) -> Make:
    """A symbolic link below world/, and something outside that it could lead to."""

    def make(folder: Path) -> None:
        (folder / "outside").mkdir()
        (folder / "outside/secret.md").write_text("not of this world", encoding="utf-8")
        (folder / name).symlink_to(target)

    return make


def many_files(folder: Path) -> None:
    """100,000 empty files."""
    inside = folder / "world/papers"
    inside.mkdir()
    descriptor = os.open(inside, os.O_RDONLY)
    for number in range(100_000):
        os.close(os.open(f"{number}", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)


def pipe(name: str) -> Make:
    """A pipe that nobody ever writes to."""
    return lambda folder: os.mkfifo(folder / name)


def sparse(folder: Path) -> None:
    """A book of 200 MB that takes no room on the disk."""
    with (folder / "world/books/dos.md").open("wb") as file:
        file.truncate(200_000_000)


def other_run(folder: Path) -> None:
    (folder / "runs/Check").mkdir(parents=True)


def data(name: str) -> list[str]:
    return [*TRAIN, "--data.train.0.path", name]


MADE = [
    Made("B6", "yaml past 1 MB", written("big.yaml", lambda: "# " + "x" * 1_000_000), ["train", "big.yaml"], "big.yaml", "1 MB", "keep data in its own files"),
    Made("B6", "yaml past 1 MB in bytes", written("big.yaml", lambda: "# " + "ñ" * 600_000), ["train", "big.yaml"], "big.yaml", "1 MB", "keep data in its own files"),
    Made("B6", "yaml of 200,000 levels", written("deep.yaml", lambda: "a: " + "[" * 200_000), ["train", "deep.yaml"], "deep.yaml", "nested too deeply", "64 levels"),
    Made("B6", "yaml of 70 levels", written("deep.yaml", lambda: "a: " + "[" * 70 + "]" * 70), ["train", "deep.yaml"], "deep.yaml:1:", "deeper than 64", "no setting"),
    Made("B13", "line of 50 MB", written("long.jsonl", lambda: '{"text": "' + "x" * 50_000_000 + '"}\n'), data("long.jsonl"), "long.jsonl:1", "50,000,012 characters", "below 8 MB"),
    Made("B13", "line past 8 MB in bytes", written("long.jsonl", lambda: '{"text": "' + "ñ" * 5_000_000 + '"}\n'), data("long.jsonl"), "long.jsonl:1", "5,000,012 characters", "below 8 MB"),
    Made("B13", "json of 200,000 levels", written("deep.jsonl", lambda: '{"text": "a", "n": ' + "[" * 200_000 + "]" * 200_000 + "}\n"), data("deep.jsonl"), "deep.jsonl:1", "nested too deeply", "64 levels"),
    Made("B13", "an object of 400,000 keys", written("wide.jsonl", lambda: "{" + ", ".join(f'"k{n}": 0' for n in range(400_000)) + "}\n"), data("wide.jsonl"), "wide.jsonl:1", "'k0'", "data.columns"),
    Made("B13", "a cell of 9 MB", written("long.csv", lambda: "item,rater,rating\nh1," + "x" * 9_000_000 + ",4\n"), [*TRAIN, "--evaluation.ratings", "long.csv"], "long.csv:2", "field larger", "quotation marks"),
    Made("B10", "a pipe in place of data", pipe("talk.jsonl"), data("talk.jsonl"), "talk.jsonl", "a device or a pipe", "name a file"),
    Made("B10", "a device in place of data", lambda folder: None, data("/dev/zero"), "/dev/zero", "a device or a pipe", "name a file"),
    Made("B10", "a device in place of a run file", lambda folder: None, ["train", "/dev/zero"], "/dev/zero", "a device or a pipe", "name a file"),
    Made("B31", "another run by case alone", other_run, TRAIN, "runs/check", "runs/Check", "choose another name"),
    Made("B31", "a run file with a long name", lambda folder: None, ["train", "x" * 300], "xxx", "longer than a file name", "check it"),
    Made("B31", "a world with a long name", lambda folder: None, ["world", "check", "w" * 300], "www", "is not a world", "name a world's folder"),
    Made("B32", "link to a file outside", link("world/books/dos.md", "../../outside/secret.md"), WORLD, "world/books/dos.md", "../../outside/secret.md", "copy the file into the world"),
    Made("B32", "absolute link", link("world/npcs/bo.yaml", "/etc/passwd"), WORLD, "world/npcs/bo.yaml", "/etc/passwd", "copy the file into the world"),
    Made("B32", "link to a folder outside", link("world/more", "../outside"), WORLD, "world/more", "../outside", "copy the file into the world"),
    Made("B32", "link to nothing", link("world/books/dos.md", "tres.md"), WORLD, "world/books/dos.md", "tres.md", "remove the link"),
    Made("B32", "link to a device", link("world/books/dos.md", "/dev/zero"), WORLD, "world/books/dos.md", "/dev/zero", "copy the file into the world"),
    Made("B32", "100,000 files", many_files, WORLD, "world", "more than 20,000 files", "name the world's own folder"),
    Made("B32", "a pipe in a world", pipe("world/books/dos.md"), WORLD, "world/books/dos.md", "a device or a pipe", "remove it"),
    Made("B32", "a book of 200 MB", sparse, WORLD, "world/books/dos.md", "200,000,000 bytes", "divide it"),
]  # fmt: skip


@pytest.fixture
def project(made: Made, tmp_path: Path) -> Path:
    """The small sound project and what the case adds."""
    shutil.copytree(FILES / "good", tmp_path, dirs_exist_ok=True)
    made.make(tmp_path)
    return tmp_path


@pytest.mark.timeout(60, func_only=True)
@pytest.mark.parametrize("made", MADE, ids=lambda made: f"{made.row}-{made.name}")
def test_what_is_too_large_or_too_odd_is_refused(made: Made, project: Path) -> None:
    before = sum(1 for _ in project.rglob("*"))
    done = run_here(made.words, project)
    check_refusal(Case(made.row, made.name, {"place": made.place, "value": made.value, "fix": made.fix}), done)
    assert sum(1 for _ in project.rglob("*")) == before


@pytest.mark.timeout(60, func_only=True)
def test_a_link_inside_a_world_is_followed(tmp_path: Path) -> None:
    shutil.copytree(FILES / "good", tmp_path, dirs_exist_ok=True)
    (tmp_path / "world/books/dos.md").symlink_to("uno.md")
    done = run_here(["world", "check", "world", "--json"], tmp_path)
    assert '"books": 2' in done.out


@pytest.mark.timeout(60, func_only=True)
def test_a_run_file_of_too_many_values_is_refused_in_time(tmp_path: Path) -> None:
    shutil.copytree(FILES / "good", tmp_path, dirs_exist_ok=True)
    head = (tmp_path / "run.yaml").read_text(encoding="utf-8")
    (tmp_path / "run.yaml").write_text(head + "zzz: [" + "1, " * 300_000 + "1]\n", encoding="utf-8")
    done = run_here(TRAIN, tmp_path)
    assert done.code == 2
    assert "run.yaml:10:" in done.err
    assert "more than 20,000 values" in done.err


def test_the_listing_sees_every_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = listing(tmp_path)
    (tmp_path / "a").write_text("2")
    assert listing(tmp_path) != before
