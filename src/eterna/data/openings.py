"""An example begins with one begin-of-text token, not with two.

Two come about where the chat template writes one and the tokenizer adds another: the model has never seen that.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from eterna.data.encoding import Encoded
from eterna.errors import DataError
from eterna.text import shown

CHECKED = 100


def check_openings(examples: Sequence[Encoded], tokenizer: Any) -> None:
    """Refuse a second begin-of-text token, looked for in the first 100 examples. Raises DataError."""
    begin = tokenizer.bos_token_id
    looked_at = list(islice(examples, CHECKED))
    doubled = [example.id for example in looked_at if begin is not None and example.ids[:2] == (begin, begin)]
    if doubled:
        message = f"{len(doubled)} of {len(looked_at)} examples begin with {shown(tokenizer.bos_token)} twice"
        fix = "take it out of the chat template, or out of the tokenizer's own additions"
        raise DataError(f"{message} (first: {shown(doubled[0])})", fix=fix)
