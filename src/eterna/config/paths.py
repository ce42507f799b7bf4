"""Names and paths that no file system could hold, found before anything asks for them.

Bounds: 255 bytes a part and 4,096 in all, as on every common Linux file system; names that Windows keeps for devices.
"""

from __future__ import annotations

from collections.abc import Iterator

from eterna.config.reading import KeyPath
from eterna.config.sections import RunConfig
from eterna.text import shown

LONGEST_PART, LONGEST_PATH = 255, 4096
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}

Finding = tuple[KeyPath, str, str]


def impossible_paths(config: RunConfig) -> Iterator[Finding]:
    """One finding per name or path of the run file that cannot be used."""
    if config.name.partition(".")[0].lower() in DEVICES:
        message = f"name is {shown(config.name)}, which Windows keeps for a device"
        yield ("name",), message, f"another name, such as {config.name.lower()}-run"
    for path, text in _paths(config):
        dotted = ".".join(map(str, path))
        if "\0" in text:
            yield path, f"{dotted} holds a NUL character: {shown(text)}", "remove it"
        elif len(text.encode("utf-8", "replace")) > LONGEST_PATH:
            yield path, f"{dotted} is longer than a path can be: {shown(text)}", f"{LONGEST_PATH:,} bytes at most"
        elif any(len(part.encode("utf-8", "replace")) > LONGEST_PART for part in text.split("/")):
            yield path, f"{dotted} is longer than a file name can be: {shown(text)}", f"{LONGEST_PART} bytes at most"


def _paths(config: RunConfig) -> Iterator[tuple[KeyPath, str]]:
    found: list[tuple[KeyPath, str | None]] = [
        (("world",), config.world),
        (("model", "name"), config.model.name),
        (("training", "output_dir"), config.training.output_dir),
        (("evaluation", "canon"), config.evaluation.canon),
        (("evaluation", "general"), config.evaluation.general),
        (("evaluation", "ratings"), config.evaluation.ratings),
        (("tracking", "tensorboard_dir"), config.tracking.tensorboard_dir),
    ]
    for part, sources in (("train", config.data.train), ("eval", config.data.eval)):
        found += [(("data", part, index, "path"), source.path) for index, source in enumerate(sources)]
    yield from ((path, text) for path, text in found if text)
