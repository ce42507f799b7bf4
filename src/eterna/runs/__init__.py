"""The run folder and its records: the contract between what produces a run and what reads it."""

from eterna.runs.environment import environment_record
from eterna.runs.folder import FORMAT, MEASURED, RunFolder
from eterna.runs.scores import CONTROL, SYSTEMS, Score

__all__ = ["CONTROL", "FORMAT", "MEASURED", "SYSTEMS", "RunFolder", "Score", "environment_record"]
