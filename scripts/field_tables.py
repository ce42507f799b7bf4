"""Write src/eterna/config/field_tables.json: fields of TrainingArguments and LoraConfig, optimizers, schedules.

Run it after widening the range of transformers or PEFT: `python scripts/field_tables.py [--check]`.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import peft
import transformers
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

OUT = Path(__file__).parents[1] / "src" / "eterna" / "config" / "field_tables.json"
# Fields whose value is not a plain YAML value, and those that PEFT writes itself.
NOT_PLAIN = {
    "runtime_config",
    "parallelism_config",
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "arrow_config",
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "peft_type",
    "peft_version",
    "revision",
}


def fields_of(kind: type) -> dict[str, str]:
    """Name and type of each field a caller may set."""
    return {
        field.name: str(getattr(field.type, "__name__", field.type)).replace("typing.", "")
        for field in dataclasses.fields(kind)
        if field.init and field.name not in NOT_PLAIN
    }


def main() -> int:
    tables = {
        "versions": {"transformers": transformers.__version__, "peft": peft.__version__},
        "training": fields_of(transformers.TrainingArguments),
        "lora": fields_of(peft.LoraConfig),
        "optimizers": [name.value for name in OptimizerNames],
        "schedules": [name.value for name in SchedulerType],
    }
    text = json.dumps(tables, indent=1, sort_keys=True) + "\n"
    if "--check" in sys.argv:
        return int(OUT.read_text() != text)
    OUT.write_text(text)
    print(f"wrote {OUT}: {len(tables['training'])} + {len(tables['lora'])} fields")
    return 0


if __name__ == "__main__":
    sys.exit(main())
