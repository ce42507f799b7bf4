"""Make the plain text of a novel from its TEI file, for recipes/novels.py.

    python recipes/eltec_text.py ELTeC-spa/level1/SPA2009_PerezGaldos_Marianela.xml eltec/galdos_marianela.txt

Every paragraph (`p`) and line of verse (`l`) of the body becomes a paragraph, white space collapsed, an empty line
between two. Headings, title page and notes outside the body are left out, so novels.py cuts by length.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

from eterna.files import write_whole

TEI = "{http://www.tei-c.org/ns/1.0}"


def body_text(source: Path) -> str:
    """The paragraphs of a TEI file's body. Raises ValueError where it has no body, ParseError where it is no XML."""
    body = ElementTree.parse(source).find(f"{TEI}text/{TEI}body")  # noqa: S314 (a file that the caller chose)
    if body is None:
        raise ValueError(f"{source} has no TEI body")
    parts = [part for part in body.iter() if part.tag in (f"{TEI}p", f"{TEI}l")]
    paragraphs = [" ".join("".join(part.itertext()).split()) for part in parts]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.stderr.write("usage: python recipes/eltec_text.py FILE.xml OUT.txt\n")
        sys.exit(2)
    write_whole(Path(sys.argv[2]), body_text(Path(sys.argv[1])))
