"""The Hugging Face Hub: which commit an id stands for, by one short question or from the local cache."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from eterna.errors import DataError, ModelError, UnavailableError
from eterna.text import first_line, shown

LONGEST_WAIT = 4.0  # seconds
FILE_ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet", ".arrow")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
LOCAL = "without a network, name a local folder"


@dataclass(frozen=True)
class HubCommit:
    """What a Hub id and a revision stand for."""

    commit: str
    online: bool
    """False: the Hub gives no answer, and the local cache is all there is."""


def is_hub_id(name: str) -> bool:
    """Whether a name has the shape owner/name, and not that of a file."""
    return bool(HUB_ID.fullmatch(name)) and not name.endswith(FILE_ENDINGS)


@lru_cache
def find_commit(kind: Literal["model", "dataset"], name: str, revision: str | None = None) -> HubCommit:
    """Look up a model or data set, waiting a few seconds at most; HF_HUB_OFFLINE and HF_ENDPOINT are honoured.

    Raises ModelError or DataError when it does not exist, is closed, or is neither cached nor within reach.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    noun, failure = ("model", ModelError) if kind == "model" else ("data set", DataError)
    away = UnavailableError if kind == "model" else DataError
    cached = _cached_commit(kind, name, revision)
    if HF_HUB_OFFLINE:
        if cached:
            return HubCommit(cached, online=False)
        raise away(f"the {noun} {shown(name)} is not in the local cache, and HF_HUB_OFFLINE is set", fix=LOCAL)
    try:
        info = HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=LONGEST_WAIT)
        if info.gated:
            HfApi().auth_check(name, repo_type=kind)
    except GatedRepoError as error:
        fix = f"accept its terms at {ENDPOINT} and log in with `hf auth login`"
        raise failure(f"the {noun} {shown(name)} is gated, and you have no access to it", fix=fix) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        fix = f"check the name; a private one needs `hf auth login`; {LOCAL}"
        raise failure(f"there is no {noun} {shown(name)}, neither as a local path nor on the Hub", fix=fix) from error
    except RevisionNotFoundError as error:
        fix = "name a branch, a tag or a whole commit"
        raise failure(f"the {noun} {shown(name)} has no revision {shown(revision)}", fix=fix) from error
    except HTTPError as error:
        if cached and not isinstance(error, HfHubHTTPError):
            return HubCommit(cached, online=False)
        message = f"cannot load the {noun} {shown(name)}: {ENDPOINT} gives no usable answer ({first_line(error, 200)})"
        raise away(message, fix="HF_HUB_OFFLINE=1 takes the cached one" if cached else LOCAL) from error
    return HubCommit(str(info.sha), online=True)


def _cached_commit(kind: str, name: str, revision: str | None) -> str | None:
    """The commit that a revision stood for when it was last downloaded."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"{kind}s--{name.replace('/', '--')}"
    reference = folder / "refs" / (revision or "main")
    if reference.is_file():
        return reference.read_text(encoding="utf-8").strip()
    return revision if revision and (folder / "snapshots" / revision).is_dir() else None
