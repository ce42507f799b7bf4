"""The JSON schema of the run file, for editors and docs."""

from __future__ import annotations

from typing import Any

from eterna.config.field_tables import FIELD_TABLES
from eterna.config.sections import RunConfig


def json_schema() -> dict[str, Any]:
    """JSON schema of a run file; pass-through fields of transformers and PEFT are listed by name."""
    schema = RunConfig.model_json_schema()
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    schema["title"] = "Eterna run file"
    for section, table in (("TrainingSection", "training"), ("LoraSection", "lora")):
        definition = schema["$defs"][section]
        definition["additionalProperties"] = False
        for name in FIELD_TABLES[table]:
            definition["properties"].setdefault(name, {"description": f"passed through to {TABLE_OWNERS[table]}"})
    return schema


TABLE_OWNERS = {"training": "transformers.TrainingArguments", "lora": "peft.LoraConfig"}
