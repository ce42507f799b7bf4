"""From a folder to a checked World; every mistake with its file and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from eterna.config.reading import Marked, parse_yaml, read_yaml
from eterna.errors import Place as FilePlace
from eterna.errors import Problem, UserError, WorldError
from eterna.files import read_json_lines, read_text, sha256_of, usable_path
from eterna.text import name_hint, shown
from eterna.world.boundaries import check_boundaries
from eterna.world.layout import id_problem, misplaced_keys, name_problem, unread_files
from eterna.world.schema import NARRATOR, NPC, PLAYER, Book, Canon, Example, Place, Revelacion, World

PACKAGED = "eterna:"
FORMAT = 1
PartT = TypeVar("PartT", bound=BaseModel)


def find_world(name: str) -> Path:
    """The folder of a world named in a config: a path, or `eterna:biblioteca` for one that comes with Eterna."""
    if name.startswith(PACKAGED):
        worlds = Path(__file__).parents[1] / "worlds"
        shipped = sorted(item.name for item in worlds.iterdir() if (item / "world.yaml").is_file())
        wanted = name.removeprefix(PACKAGED)
        if wanted not in shipped:
            raise WorldError(f"no world {shown(name)} comes with Eterna", fix=name_hint(wanted, shipped))
        return worlds / wanted
    file = usable_path(f"{name}/world.yaml")
    if file is None or not file.is_file():
        raise WorldError(
            f"{shown(name, 200)} is not a world: it holds no world.yaml",
            fix="name a world's folder, or eterna:biblioteca",
        )
    return file.parent


def load_world(folder: Path) -> World:
    """Read and check a world's folder. Raises WorldError listing every problem found."""
    check_boundaries(folder)
    reader = _Reader(folder)
    world = reader.world()
    if reader.problems:
        raise WorldError(reader.problems)
    assert world is not None
    return world


def load_canon(path: Path) -> Canon:
    """Read and check a canon.yaml that stands by itself. Raises WorldError listing every problem found."""
    reader = _Reader(path.parent)
    if not path.is_file():
        raise WorldError(f"no such file: {path}", fix="check evaluation.canon; it is read from the folder you run in")
    canon = reader.canon(path)
    if reader.problems:
        raise WorldError(reader.problems)
    return canon


class _Reader:
    """Collects problems while reading, so that one run shows them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[Problem] = []
        self.places: dict[str, FilePlace] = {}

    def world(self) -> World | None:
        head = self.yaml(self.folder / "world.yaml")
        values = dict(head.values) if head and isinstance(head.values, dict) else {}
        if head and values.pop("format", None) != FORMAT:
            self.problem(
                "format is missing or not 1",
                FilePlace(str(self.folder / "world.yaml"), 1),
                "write `format: 1`; a newer format needs a newer Eterna",
            )
        self.problems += [*unread_files(self.folder), *(misplaced_keys(head) if head else ())]
        values |= {
            "books": self.parts("books", "*.md", Book, _front_matter),
            "npcs": self.parts("npcs", "*.yaml", NPC, read_yaml),
            "places": self.parts("places", "*.yaml", Place, read_yaml),
            "revelaciones": self.revelaciones(),
            "canon": self.canon(self.folder / "canon.yaml"),
            "examples": list(self.examples()),
            "sha256": sha256_of(self.folder),
        }
        world = self.build(World, values, head or Marked({}, {(): FilePlace(str(self.folder / "world.yaml"))}))
        if world and not self.problems:
            self.check_references(world)
        return world

    def problem(self, message: str, place: FilePlace | None, fix: str | None = None) -> None:
        self.problems.append(Problem(message, place, fix))

    def yaml(self, path: Path, read: Callable[[Path], Marked] = read_yaml) -> Marked | None:
        try:
            return read(path)
        except UserError as error:
            self.problems += error.problems
            return None

    def build(self, kind: type[PartT], values: Any, marked: Marked, at: tuple[str | int, ...] = ()) -> PartT | None:
        try:
            return kind.model_validate(values)
        except ValidationError as error:
            for detail in error.errors():
                path = detail["loc"]
                dotted = ".".join(map(str, path)) or kind.__name__
                if detail["type"] == "extra_forbidden":
                    message, fix = f"unknown key {dotted}", name_hint(str(path[-1]), kind.model_fields)
                elif detail["type"] == "missing":
                    message, fix = f"{dotted} is missing", f"add `{path[-1]}:`"
                elif detail["type"] in ("model_type", "model_attributes_type"):
                    message, fix = f"expected keys, found {shown(detail['input'])}", _keys_of(kind)
                else:
                    message, fix = (
                        f"{dotted} is {shown(detail['input'])}",
                        detail["msg"].replace("Input should", "it should"),
                    )
                self.problem(message, marked.place_of((*at, *path)), fix)
            return None

    def parts(self, name: str, pattern: str, kind: type[PartT], read: Callable[[Path], Marked]) -> dict[str, PartT]:
        found: dict[str, PartT] = {}
        for path in sorted((self.folder / name).glob(pattern)):
            place = FilePlace(str(path), 1)
            if problem := name_problem(name, path.stem, place):
                self.problems.append(problem)
                continue
            marked = self.yaml(path, read)
            if marked is None:
                continue
            if not isinstance(marked.values, dict):
                self.problem("the file holds no keys", place, f"write {', '.join(list(kind.model_fields)[1:4])}, ...")
                continue
            if problem := id_problem(path.stem, marked):
                self.problems.append(problem)
            part = self.build(kind, {**marked.values, "id": path.stem}, marked)
            if part is not None:
                found[path.stem] = part
                self.places[f"{name}/{path.stem}"] = place
        return found

    def revelaciones(self) -> dict[str, Revelacion]:
        path = self.folder / "revelaciones.yaml"
        marked = self.yaml(path) if path.is_file() else None
        items = marked.values if marked and marked.values is not None else []
        if not isinstance(items, list):
            found_here = f"expected a list, found {shown(items)}"
            self.problem(found_here, FilePlace(str(path), 1), "begin each revelación with `- id:`")
            return {}
        found: dict[str, Revelacion] = {}
        for index, item in enumerate(items):
            assert marked is not None
            part = self.build(Revelacion, item, marked, (index,))
            if part and part.id in found:
                self.problem(
                    f"the revelación {shown(part.id)} stands twice",
                    marked.place_of((index,)),
                    "rename or remove one",
                )
            elif part:
                found[part.id] = part
                self.places[f"revelaciones/{part.id}"] = marked.place_of((index,)) or FilePlace(str(path))
        return found

    def canon(self, path: Path) -> Canon:
        marked = self.yaml(path) if path.is_file() else None
        canon = self.build(Canon, marked.values or {}, marked) if marked else None
        for index, ban in enumerate(canon.never if canon else []):
            assert marked is not None
            try:
                re.compile(ban.pattern, re.IGNORECASE)
            except re.error as error:
                self.problem(
                    f"never.{index}.pattern is not a regular expression: {error}",
                    marked.place_of(("never", index, "pattern")),
                    "close its parentheses and brackets; write \\( for the sign itself",
                )
        return canon or Canon()

    def examples(self) -> Iterator[Example]:
        seen: dict[str, FilePlace] = {}
        for path in sorted((self.folder / "examples").glob("*.jsonl")):
            try:
                lines = list(read_json_lines(path))
            except UserError as error:
                self.problems += error.problems
                continue
            for number, line in lines:
                place = FilePlace(str(path), number)
                if isinstance(line, Problem):
                    self.problems.append(line)
                    continue
                example = self.build(Example, line, Marked(line, {(): place}))
                if example is None:
                    continue
                if example.id in seen:
                    self.problem(
                        f"the id {shown(example.id)} stands twice (first at {seen[example.id]})",
                        place,
                        "give each example its own id",
                    )
                seen[example.id] = self.places[f"examples/{example.id}"] = place
                yield example

    def check_references(self, world: World) -> None:
        for npc in world.npcs.values():
            self.known("place", [npc.place], world.places, f"npcs/{npc.id}")
        for revelacion in world.revelaciones.values():
            self.known("revelación", revelacion.requires, world.revelaciones, f"revelaciones/{revelacion.id}")
        for example in world.examples:
            where = f"examples/{example.id}"
            self.known("npc", [example.npc] if example.npc else [], world.npcs, where)
            self.known("place", [example.place] if example.place else [], world.places, where)
            self.known("book", [example.book] if example.book else [], world.books, where)
            self.known("revelación", [*example.known, *example.serves], world.revelaciones, where)
            self.check_turns(example, world, where)
        if not self.problems:
            self.check_no_cycle(world)

    def known(self, kind: str, names: Iterable[str], known: Iterable[str], where: str) -> None:
        known = list(known)
        for name in names:
            if name not in known:
                self.problem(
                    f"{where} names the {kind} {shown(name)}, which does not exist",
                    self.places.get(where),
                    name_hint(name, known),
                )

    def check_turns(self, example: Example, world: World, where: str) -> None:
        for index, turn in enumerate(example.turns):
            if turn.speaker not in (PLAYER, NARRATOR, *world.npcs) and (example.npc or turn.speaker != example.voice):
                self.problem(
                    f"turn {index + 1} of {shown(example.id)} is spoken by {shown(turn.speaker)}",
                    self.places.get(where),
                    name_hint(turn.speaker, [PLAYER, NARRATOR, *world.npcs]),
                )
        if not example.voice:
            self.problem(f"nobody answers in {shown(example.id)}", self.places.get(where), "name an npc, book or place")
        elif example.voice not in example.voices():
            self.problem(
                f"{example.voice} says nothing in {shown(example.id)}",
                self.places.get(where),
                "name an npc who answers" if example.npc else f"answer as {example.voice}, or name an npc",
            )
        if example.turns[-1].speaker in (PLAYER, NARRATOR):
            self.problem(
                f"the last turn of {shown(example.id)} is the {example.turns[-1].speaker}'s",
                self.places.get(where),
                "end with an NPC's answer",
            )

    def check_no_cycle(self, world: World) -> None:
        done: set[str] = set()

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                chain = " -> ".join((*path[path.index(name) :], name))
                self.problem(
                    f"revelaciones require each other in a circle: {chain}",
                    self.places.get(f"revelaciones/{name}"),
                    "remove one `requires`",
                )
            elif name not in done:
                for needed in world.revelaciones[name].requires:
                    visit(needed, (*path, name))
                done.add(name)

        for name in world.revelaciones:
            visit(name, ())


def _keys_of(kind: type[BaseModel]) -> str:
    return f"write {', '.join(list(kind.model_fields)[:3])}: ..."


def _front_matter(path: Path) -> Marked:
    """YAML between two `---` lines, the rest as `text`."""
    text = read_text(path)
    opening, _, rest = text.partition("\n")
    head, dashes, body = rest.partition("\n---\n")
    if opening.strip() != "---" or not dashes:
        raise WorldError(
            "a book starts with YAML between two `---` lines",
            FilePlace(str(path), 1),
            "see books/*.md of eterna:biblioteca",
        )
    marked = parse_yaml("\n" + head, str(path))
    if isinstance(marked.values, dict):
        if "text" in marked.values:
            place = marked.place_of(("text",))
            raise WorldError("text stands in the head of the book", place, "write it below the second `---` line")
        marked.values["text"] = body.strip()
    return marked
