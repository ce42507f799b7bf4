"""Values back to YAML, for the resolved config and for `config show`."""

from __future__ import annotations

import io
from typing import Any


def to_yaml(values: dict[str, Any]) -> str:
    """Block-style YAML in the given key order, accents kept."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False
    yaml.representer.sort_base_mapping_type_on_output = False
    yaml.width = 100
    out = io.StringIO()
    yaml.dump(values, out)
    return out.getvalue()
