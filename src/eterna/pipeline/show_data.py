"""`eterna data show`: examples token by token, as the model gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eterna.config import LoadedConfig
from eterna.data import Encoded, Encoder
from eterna.errors import UserError
from eterna.pipeline.check_data import load_run_data
from eterna.text import name_hint, shown


@dataclass(frozen=True)
class Piece:
    """One token; several where only together they make up a character."""

    ids: tuple[int, ...]
    text: str
    """What it stands for; a special token's own name."""
    weight: float
    """Loss weight; 0 is context."""
    special: bool


@dataclass(frozen=True)
class ShownExample:
    """One example as the model gets it."""

    id: str
    place: str
    """Where it comes from."""
    part: str
    tokens: int
    trained: int
    cut: int
    """Tokens cut off before the first piece."""
    text: str
    """The whole as the chat template wrote it."""
    pieces: list[Piece]

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def show_data(
    loaded: LoadedConfig, part: str = "train", wanted: str | None = None, count: int = 3
) -> list[ShownExample]:
    """The example `wanted`, by its id or its number from 1; else the first `count` of the part.

    Raises UserError for an example or part that does not exist, and for data that training would refuse.
    """
    if part == "eval" and not loaded.config.data.eval:
        raise UserError("data.eval is empty", fix="name held-out data there, or leave --part eval out")
    data = load_run_data(loaded)
    examples = data.prepared.train if part == "train" else data.prepared.eval
    left_out = data.prepared.left_out
    chosen = examples[:count] if wanted is None else [choose_example(examples, wanted, part, left_out)]
    encoder = Encoder(data.tokenizer)
    return [_shown(encoder, one, data.place_of(one), part) for one in chosen]


def _shown(encoder: Encoder, example: Encoded, place: str, part: str) -> ShownExample:
    pieces = split_pieces(encoder, example)
    text = "".join(piece.text for piece in pieces)
    return ShownExample(example.id, place, part, len(example.ids), example.trained, example.cut, text, pieces)


def choose_example(
    examples: Sequence[Encoded], wanted: str, part: str, left_out: Mapping[str, str] | None = None
) -> Encoded:
    """By whole id, by the id within its source, or by number from 1. Raises UserError.

    left_out: id to why the model does not see an example.
    """
    named = {example.id: example for example in examples}
    short = {name.partition("#")[2]: example for name, example in named.items()}
    if found := named.get(wanted) or short.get(wanted):
        return found
    if wanted.isdecimal() and 1 <= int(wanted) <= len(examples):
        return examples[int(wanted) - 1]
    for name, reason in (left_out or {}).items():
        if wanted in (name, name.partition("#")[2]):
            raise UserError(f"the model does not see {shown(wanted)}: {reason}", fix="eterna data check counts them")
    fix = f"a number from 1 to {len(examples)}" if wanted.isdecimal() else name_hint(wanted, short)
    raise UserError(f"there is no example {shown(wanted)} in data.{part}", fix=fix)


def split_pieces(encoder: Encoder, example: Encoded) -> list[Piece]:
    """An example's tokens with the text that each stands for."""
    decode = encoder.tokenizer.decode
    pieces: list[Piece] = []
    held: list[int] = []
    before: list[int] = []  # a decoder may drop a blank at the very beginning, so each token is read after another
    for index, (item, weight) in enumerate(zip(example.ids, example.weights, strict=True)):
        special = item in encoder.specials
        held.append(item)
        opening = decode(before, clean_up_tokenization_spaces=False)
        text = decode([*before, *held], clean_up_tokenization_spaces=False)[len(opening) :]
        last = index + 1 == len(example.ids) or example.ids[index + 1] in encoder.specials
        if text.endswith("\ufffd") and not (special or last):
            continue  # part of a character
        name = encoder.tokenizer.convert_ids_to_tokens(item) if special else text
        pieces.append(Piece(tuple(held), name, weight, special))
        before, held = held, []
    return pieces
