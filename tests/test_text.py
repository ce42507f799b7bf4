"""What messages show of values and errors."""

from __future__ import annotations

import pytest

from eterna.text import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n\n  one\ntwo"), "one"),
        (NotImplementedError(), "NotImplementedError"),
        (ValueError(" \n"), "ValueError"),
        (ValueError("x" * 500), "x" * 300),
    ],
)
def test_an_error_is_told_in_one_line(error: Exception, line: str) -> None:
    assert first_line(error) == line
