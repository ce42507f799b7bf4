"""A model's JSON files are read as plain JSON first: no code of the model's own is ever run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eterna.errors import ModelError, Place
from eterna.files import read_text
from eterna.text import shown

COPY_AGAIN = "copy or download the file again"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
VOCABULARIES = (".model", ".tiktoken", ".bpe")


def check_config(path: Path) -> None:
    """Refuse a config.json that is damaged or that asks for code of its own. Raises ModelError."""
    values = _read_object(path)
    if "model_type" not in values:
        raise ModelError("the key model_type is missing", Place(str(path)), COPY_AGAIN)
    if "auto_map" in values and not _is_known(str(values["model_type"])):
        raise ModelError(
            f"the model brings code of its own ({shown(values['auto_map'])}), which is never run",
            Place(str(path)),
            "use a model that transformers knows by itself",
        )


def check_tokenizer(folder: Path) -> None:
    """Refuse a local folder without a tokenizer or with a damaged one. Raises ModelError."""
    names = [path.name for path in folder.iterdir()]
    if not any(name.startswith(("tokenizer", "vocab")) or name.endswith(VOCABULARIES) for name in names):
        raise ModelError(f"{folder} holds no tokenizer", fix="copy tokenizer.json and tokenizer_config.json there")
    for name in TOKENIZER_FILES:
        if (folder / name).is_file():
            _read_object(folder / name)


def _read_object(path: Path) -> dict[str, Any]:
    text = read_text(path)
    if text.startswith("version https://git"):
        fix = "run `git lfs pull` in that folder"
        raise ModelError("the file is a Git LFS pointer, not the file itself", Place(str(path)), fix)
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        place = Place(str(path), error.lineno, error.colno)
        near = shown(error.doc[max(error.pos - 20, 0) : error.pos + 20])
        raise ModelError(f"not valid JSON: {error.msg}: {near}", place, COPY_AGAIN) from None
    except (RecursionError, ValueError) as error:
        raise ModelError(f"not usable JSON: {error}", Place(str(path)), COPY_AGAIN) from None
    if not isinstance(values, dict):
        raise ModelError(f"expected a JSON object, found {shown(values)}", Place(str(path), 1), COPY_AGAIN)
    return values


def _is_known(kind: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return kind in CONFIG_MAPPING_NAMES
