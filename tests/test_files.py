"""Files that are not UTF-8 are refused by the byte."""

from __future__ import annotations

import pytest

from eterna.errors import UserError
from eterna.files import decode


@pytest.mark.parametrize("opening", [b"", b"\xef\xbb\xbf"])
def test_the_byte_is_counted_from_the_beginning_of_the_file(opening: bytes) -> None:
    raw = opening + b"a\nni\xf1o"
    with pytest.raises(UserError, match=rf"x.txt:2: byte {raw.index(0xF1)} \(0xf1\)"):
        decode(raw, "x.txt")


def test_a_byte_order_mark_is_no_text() -> None:
    assert decode(b"\xef\xbb\xbfa\r\nb", "x.txt") == "a\nb"
