"""What can go wrong through no fault of the program: a place, a value and a way out.

Every mistake of a user ends as a `UserError` holding one or more `Problem`s. The command line prints them without a
traceback and exits with the error's own code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Place:
    """A position in a file the user wrote; line and column count from 1, None where there is none."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True)
class Problem:
    """One mistake: what is wrong (with the value), where, and what to do about it."""

    message: str
    place: Place | None = None
    fix: str | None = None

    def __str__(self) -> str:
        return self.line + (f"\n    fix: {self.fix}" if self.fix else "")

    @property
    def line(self) -> str:
        """The problem without its fix."""
        return f"{self.place}: {self.message}" if self.place else self.message


class EternaError(Exception):
    """Base of everything Eterna raises on purpose."""

    exit_code: ClassVar[int] = 1


class UserError(EternaError, ValueError):
    """Wrong usage, config or data, as a message (with place and fix) or as several problems.

    Nothing has been written when it is raised.
    """

    exit_code: ClassVar[int] = 2

    def __init__(
        self, problems: str | Problem | Iterable[Problem], place: Place | None = None, fix: str | None = None
    ) -> None:
        if isinstance(problems, str):
            problems = Problem(problems, place, fix)
        # One mistake may be met in several parts of the data: it is said once.
        self.problems = list(dict.fromkeys([problems] if isinstance(problems, Problem) else problems))
        super().__init__(str(self))

    def __str__(self) -> str:
        listed = self.problems[:SHOWN_PROBLEMS]
        # A fix that several neighbours share is said once, after the last of them.
        shown = [
            one.line if after and after.fix == one.fix else str(one)
            for one, after in zip(listed, [*listed[1:], None], strict=True)
        ]
        if len(self.problems) > SHOWN_PROBLEMS:
            shown.append(f"... and {len(self.problems) - SHOWN_PROBLEMS} more problems of the same run")
        return "\n".join(shown)


class ConfigError(UserError):
    """The run file, an override or an environment variable is wrong."""


class WorldError(UserError):
    """The world's own files contradict themselves or the schema."""


class DataError(UserError):
    """A data file or example is wrong."""


class ModelError(UserError, OSError):
    """A model or tokenizer cannot be used as asked."""


class UnavailableError(ModelError):
    """This machine cannot do it, another one may: a GPU, the Hub or memory is missing."""


class RunError(UserError):
    """A run folder is missing something, or holds another run."""


class UploadError(EternaError, OSError):
    """The finished model could not be uploaded; everything is in the run folder."""


class CanonError(EternaError):
    """Replies of the tuned model break the world's canon; everything was scored and written."""

    exit_code: ClassVar[int] = 4


class EternaWarning(UserWarning):
    """Something is understood another way than it was written in a script: an old name, a tokenizer made fit."""


class TrainingFailedError(EternaError, RuntimeError):
    """Training stopped because going on would have spoilt the model (a loss that is not a number)."""
