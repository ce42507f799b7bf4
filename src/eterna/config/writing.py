"""Values back to YAML, for the resolved config, for `config show` and for lines to put into a run file."""

from __future__ import annotations

import io
from typing import Any


def to_yaml(values: dict[str, Any]) -> str:
    """Block-style YAML in the given key order, accents kept."""
    return _dump(values, flow=False, width=100)


def to_flow_yaml(values: dict[str, Any]) -> str:
    """The same on one line: `{prompt: question, completion: answer}`."""
    return _dump(values, flow=True, width=10_000).strip()


def _dump(values: dict[str, Any], flow: bool, width: int) -> str:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False
    yaml.representer.sort_base_mapping_type_on_output = False
    yaml.width = width
    out = io.StringIO()
    yaml.dump(values, out)
    return out.getvalue()
