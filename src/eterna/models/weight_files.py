"""Weights are looked at before any tensor is used: kind, header, size, names and shapes, read from the files' headers.

A safetensors file is 8 bytes (the length n of the header, little endian), n bytes of JSON, then the tensors; each entry
of the JSON holds dtype, shape and the tensor's first and last byte after the header.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eterna.errors import ModelError, Place, Problem
from eterna.files import read_text
from eterna.text import shown

PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
LARGEST_HEADER = 100_000_000  # bytes, as the safetensors library has it
INDEX = "model.safetensors.index.json"
COPY_AGAIN = "copy or download the file again"
OF_ANOTHER = "weights and config.json are of different models; copy both from one place"


def check_weights(folder: Path) -> None:
    """Refuse a local folder without usable weights. Raises ModelError listing every problem."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        if any((folder / name).exists() for name in PICKLED):
            raise ModelError(
                f"{folder} holds pickled weights only, which can run code when loaded",
                fix="convert them to safetensors where you trust them",
            )
        raise ModelError(
            f"{folder} holds no weights (*.safetensors)",
            fix="copy them there, or set model.init: random to train from scratch",
        )
    problems = [problem for path in weights if isinstance(problem := read_header(path), Problem)]
    problems += _missing_parts(folder)
    if problems:
        raise ModelError(problems)


def check_tensors(folder: Path, model: Any) -> None:
    """Refuse weights that are not those of `model`, which needs no storage. Raises ModelError listing every problem.

    Only names that both know are compared; where they share less than half, transformers renames them on loading, and
    so it does (GPT-NeoX's embed_out) where the file has a tensor of the missing one's shape by a name of its own.
    """
    found: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        header = read_header(path)
        if not isinstance(header, Problem):
            found |= header
    wanted = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
    shared = wanted.keys() & found.keys()
    if 2 * len(shared) < len(wanted):
        return
    problems = [
        Problem(
            f"{name} has the shape {found[name]}, where config.json asks for {wanted[name]}",
            Place(str(folder)),
            OF_ANOTHER,
        )
        for name in wanted
        if name in shared and found[name] != wanted[name]
    ]
    renamed = Counter(tuple(shape) for name, shape in found.items() if name not in wanted)
    for name, shape in wanted.items():
        if name not in found:
            renamed[tuple(shape)] -= 1
            if renamed[tuple(shape)] < 0:
                problems.append(
                    Problem(f"the weights hold no {name}, so it would be random", Place(str(folder)), OF_ANOTHER)
                )
    if problems:
        raise ModelError(problems)


def read_header(path: Path) -> dict[str, list[int]] | Problem:
    """The shape of each tensor of a safetensors file by its name, or what is wrong with the file."""
    place, size = Place(str(path)), path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start == b"version ":
            return Problem("the file is a Git LFS pointer, not the weights", place, "run `git lfs pull` in that folder")
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(LARGEST_HEADER, size - 8):
            message = f"not a safetensors file: {size:,} bytes, of which the header would be {length:,}"
            return Problem(message, place, COPY_AGAIN)
        raw = file.read(length)
    try:
        entries = {name: entry for name, entry in json.loads(raw).items() if name != "__metadata__"}
        shapes = {name: [int(side) for side in entry["shape"]] for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return Problem(f"the header is not that of a safetensors file: {shown(raw[:60])}", place, COPY_AGAIN)
    if 8 + length + end != size:
        return Problem(f"the file has {size:,} bytes, its header speaks of {8 + length + end:,}", place, COPY_AGAIN)
    return shapes


def _missing_parts(folder: Path) -> Iterator[Problem]:
    index = folder / INDEX
    if not index.is_file():
        return
    try:
        names = sorted({str(name) for name in json.loads(read_text(index))["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        yield Problem(f"the index cannot be read: {shown(str(error))}", Place(str(index)), COPY_AGAIN)
        return
    for name in names:
        if "/" in name or not (folder / name).is_file():
            yield Problem(f"the index names {shown(name)}, which is not in the folder", Place(str(index)), COPY_AGAIN)
