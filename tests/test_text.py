"""What is shown of values and errors is short, cheap and harmless to a terminal."""

from __future__ import annotations

import pytest

from eterna.text import first_line, printable, shown


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


@pytest.mark.timeout(5, func_only=True)
@pytest.mark.parametrize(
    "value",
    ["x" * 50_000_000, ["x" * 1000] * 1_000_000, 10**100_000, {"k": ["x"] * 5_000_000}],
    ids=["text", "list", "number", "object"],
)
def test_what_is_shown_of_a_large_value_is_short_and_cheap(value: object) -> None:
    for _ in range(1000):
        assert len(shown(value)) <= 61


def test_a_short_value_is_shown_whole() -> None:
    for value in ("año", ["a", {"b": 1}], {"role": "user", "content": "¿Qué?"}, 12, None, True):
        assert shown(value) == repr(value)


def test_a_terminal_gets_no_sign_that_it_would_obey() -> None:
    assert printable("a\x1b[2Jb\u202ec\u200bd\ne\tf\u00a0¿") == "a\\x1b[2Jb\\u202ec\\u200bd\ne\tf\u00a0¿"
