"""The run file: typed sections, strict reading, one resolved config. Loads no torch."""

from eterna.config.loading import LoadedConfig, config_from_values, load_config
from eterna.config.method import method_of
from eterna.config.schema import json_schema
from eterna.config.sections import (
    OWN_TRACKERS,
    Columns,
    DataSection,
    EvaluationSection,
    GenerationSection,
    LoraSection,
    MlflowSection,
    ModelSection,
    RunConfig,
    Source,
    TrackingSection,
    TrainingSection,
)

__all__ = [
    "OWN_TRACKERS",
    "Columns",
    "DataSection",
    "EvaluationSection",
    "GenerationSection",
    "LoadedConfig",
    "LoraSection",
    "MlflowSection",
    "ModelSection",
    "RunConfig",
    "Source",
    "TrackingSection",
    "TrainingSection",
    "config_from_values",
    "json_schema",
    "load_config",
    "method_of",
]
