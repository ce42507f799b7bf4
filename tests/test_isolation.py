"""The tests see nothing of the user who runs them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def test_no_cache_or_account_of_the_user_is_read() -> None:
    from huggingface_hub import constants, get_token

    assert Path(constants.HF_HOME) == Path(os.environ["HF_HOME"])
    for folder in (constants.HF_HOME, constants.HF_HUB_CACHE, constants.HF_TOKEN_PATH):
        assert Path(folder).is_relative_to(Path(tempfile.gettempdir()) / Path(constants.HF_HOME).name)
    assert get_token() is None
