"""The texts inside a PNG file: chunks tEXt, zTXt and iTXt, read strictly and within bounds; no picture is decoded.

Layout (PNG specification, third edition, sections 5 and 11.3.3): 8 bytes of signature, then chunks of
length (4 bytes, big-endian), type (4), data (length), CRC-32 of type and data (4).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from eterna.errors import Place, WorldError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_TEXT_BYTES = 8 * 1024 * 1024
MAX_CHUNKS = 100_000
AGAIN = "get the file again; programs that re-encode a picture spoil or drop what is inside"


def read_png_texts(path: Path, keywords: tuple[str, ...]) -> dict[str, str]:
    """The texts with these keywords. Raises WorldError naming the byte for a file that is not a whole PNG."""
    raw = path.read_bytes()
    found: dict[str, str] = {}
    for at, kind, data in _chunks(raw, path):
        keyword, zero, rest = data.partition(b"\0")
        name = keyword.decode("latin-1")
        if kind not in (b"tEXt", b"zTXt", b"iTXt") or not zero or name not in keywords:
            continue
        try:
            text = _text(kind, rest)
        except (ValueError, zlib.error) as error:
            raise _broken(path, at, f"the text {name} cannot be read: {error}") from None
        if found.setdefault(name, text) != text:
            raise _broken(path, at, f"the text {name} stands twice, and differs")
    return found


def _chunks(raw: bytes, path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """(position, type, data) of every chunk up to IEND."""
    if not raw.startswith(SIGNATURE):
        raise _broken(path, 0, "the signature of a PNG file is missing")
    at = len(SIGNATURE)
    for number in range(MAX_CHUNKS):
        if at + 12 > len(raw):
            raise _broken(path, at, "the file ends before its last chunk (IEND)")
        length, kind = struct.unpack_from(">I4s", raw, at)
        if not kind.isalpha() or (number == 0) != (kind == b"IHDR"):
            raise _broken(path, at, f"no chunk begins here, found {kind!r}")
        if at + 12 + length > len(raw):
            raise _broken(path, at, f"the chunk {kind.decode()} is said to have {length:,} bytes, but the file ends")
        data = raw[at + 8 : at + 8 + length]
        if struct.unpack_from(">I", raw, at + 8 + length)[0] != zlib.crc32(data, zlib.crc32(kind)):
            raise _broken(path, at, f"the checksum of the chunk {kind.decode()} is wrong")
        if kind == b"IEND":
            return
        yield at, kind, data
        at += 12 + length
    raise _broken(path, at, f"the file has more than {MAX_CHUNKS:,} chunks")


def _text(kind: bytes, rest: bytes) -> str:
    """The text after keyword and zero byte. Raises ValueError or zlib.error."""
    encoding, packed = "latin-1", kind == b"zTXt"
    if kind == b"iTXt":
        flag, rest = rest[:1], rest[1:]
        encoding, packed = "utf-8", flag == b"\1"
        _language, _, tail = rest[1:].partition(b"\0")
        rest = rest[:1] + tail.partition(b"\0")[2]
        rest = rest if packed else rest[1:]
    if packed:
        if rest[:1] != b"\0":
            raise ValueError(f"unknown compression method {rest[:1]!r}")
        rest = _inflate(rest[1:])
    if len(rest) > MAX_TEXT_BYTES:
        raise ValueError(f"it has {len(rest):,} bytes, at most {MAX_TEXT_BYTES:,} are read")
    return rest.decode(encoding)


def _inflate(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(data, MAX_TEXT_BYTES + 1)
    if len(text) > MAX_TEXT_BYTES:
        raise ValueError(f"unpacked it has more than {MAX_TEXT_BYTES:,} bytes")
    if not unpacker.eof:
        raise ValueError("the compressed text is cut off")
    return text


def _broken(path: Path, at: int, message: str) -> WorldError:
    return WorldError(f"byte {at}: {message}", Place(str(path)), AGAIN)
