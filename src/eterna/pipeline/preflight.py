"""What a run reads only at its end, and where it writes, looked at before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from eterna.data import ReadSource
from eterna.errors import DataError, Problem, RunError
from eterna.evaluation import Rating
from eterna.runs import RunFolder
from eterna.text import name_hint, shown


def check_ratings(ratings: Sequence[Rating], path: str | None, read: Sequence[ReadSource]) -> None:
    """Ratings of texts that nobody holds out cannot be ratings of this run's replies. Raises DataError."""
    known = {example.id for source in read if source.part == "eval" for example in source.content.examples}
    unknown = dict.fromkeys(
        rating.item for rating in ratings if rating.item not in known and rating.item.rpartition("@")[0] not in known
    )
    if unknown and known:
        raise DataError(
            Problem(f"{path} rates the item {shown(name)}, which data.eval does not hold", fix=name_hint(name, known))
            for name in unknown
        )


def check_run_folder(run: RunFolder) -> None:
    """Refuse a folder whose name differs from that of another run by its case alone. Raises RunError.

    On a disk that knows no case the two would be one.
    """
    parent, name = run.path.parent, run.path.name
    if not parent.is_dir() or run.path.exists():
        return
    for other in parent.iterdir():
        if other.name != name and other.name.casefold() == name.casefold():
            message = f"{run.path} differs from {other} only in upper and lower case"
            raise RunError(message, fix="choose another name or training.output_dir")
