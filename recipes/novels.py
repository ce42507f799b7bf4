"""Make training files from a folder of public-domain novels, one UTF-8 .txt file each.

    python recipes/novels.py FOLDER OUT --books Burnett_Garden_1911 Haggard_She_1887 Wcollins_Woman_1860

FOLDER: any folder of plain-text novels, a paragraph a line or hard-wrapped, for example a checkout of
computationalstylistics/100_english_novels or the plain text of COST-ELTeC/ELTeC-spa (both on GitHub;
recipes/eltec_text.py makes it from the latter's TEI files). Every tenth chapter is held out (--hold-out-every).
Written into OUT:

    train.jsonl      {"id", "group", "voice", "text"}    a chapter a line
    valid.jsonl      the same, the held-out chapters
    continue.jsonl   {"id", "group", "voice", "prompt", "completion"}   a paragraph and the next, from training chapters
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from eterna.errors import UserError
from eterna.files import read_text, write_whole

WIDEST_WRAPPED = 100  # signs; a text without a longer line, but with blank ones, is hard-wrapped
SHORTEST_CHAPTER = 200  # words; shorter sections (title pages, mottos) are left out
HEADING = re.compile(r"(chapter|book|part|cap[ií]tulo|libro|parte)\b.{0,60}|[IVXLC]+\.?", re.IGNORECASE)


def is_heading(paragraph: str) -> bool:
    """A short line that names a chapter, or is all capitals."""
    if len(paragraph) > 70:
        return False
    letters = [sign for sign in paragraph if sign.isalpha()]
    return bool(HEADING.fullmatch(paragraph.strip())) or (len(letters) > 3 and all(sign.isupper() for sign in letters))


def paragraphs_of(text: str) -> list[str]:
    """The paragraphs, each on one line: what blank lines part where the text is hard-wrapped, else every line."""
    lines = [line.strip() for line in text.split("\n")]
    if max(map(len, lines)) > WIDEST_WRAPPED or "" not in text.strip().split("\n"):
        return [line for line in lines if line]
    blocks = re.split(r"\n{2,}", "\n".join(lines).strip("\n"))
    return [" ".join(block.split("\n")) for block in blocks if block]


def chapters(text: str, longest: int) -> list[str]:
    """The book's chapters, headings included, in order; cut into blocks of `longest` words where there are none."""
    sections: list[list[str]] = [[]]
    words = 0
    for paragraph in paragraphs_of(text):
        if is_heading(paragraph) or words > longest:
            sections.append([])
            words = 0
        sections[-1].append(paragraph)
        words += len(paragraph.split())
    joined = ["\n\n".join(section) for section in sections]
    return [section for section in joined if len(section.split()) >= SHORTEST_CHAPTER]


def continuations(chapter: str) -> Iterator[tuple[str, str]]:
    """Neighbouring paragraphs of 12 to 90 words; no paragraph is used twice."""
    paragraphs = chapter.split("\n\n")
    usable = [12 <= len(paragraph.split()) <= 90 for paragraph in paragraphs]
    position = 0
    while position + 1 < len(paragraphs):
        if usable[position] and usable[position + 1]:
            yield paragraphs[position], paragraphs[position + 1]
            position += 2
        else:
            position += 1


def prepare(folder: Path, out: Path, books: Iterable[str], every: int = 10, longest: int = 6000) -> dict[str, int]:
    """Write the three files, every `every`-th chapter held out. Returns the number of rows of each."""
    if every < 2 or longest < 1:
        raise UserError(
            f"--hold-out-every is {every}, --longest is {longest}", fix="from 2, so that chapters are left; from 1 word"
        )
    rows: dict[str, list[dict[str, str]]] = {"train": [], "valid": [], "continue": []}
    for book in books:
        path = folder / f"{book}.txt"
        for number, chapter in enumerate(chapters(read_text(path), longest), start=1):
            row = {"id": f"{book}-{number:03d}", "group": book, "voice": book}
            if number % every == 0:
                rows["valid"].append({**row, "text": chapter})
                continue
            rows["train"].append({**row, "text": chapter})
            for count, (prompt, completion) in enumerate(continuations(chapter), start=1):
                pair = {
                    "id": f"{row['id']}-{count}",
                    "group": book,
                    "voice": book,
                    "prompt": prompt,
                    "completion": completion,
                }
                rows["continue"].append(pair)
    for name, lines in rows.items():
        write_whole(out / f"{name}.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return {name: len(lines) for name, lines in rows.items()}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--books", nargs="+", required=True, help="file names without .txt")
    parser.add_argument("--hold-out-every", type=int, default=10, help="every how many chapters one is held out")
    parser.add_argument("--longest", type=int, default=6000, help="words after which a chapter is cut")
    chosen = parser.parse_args()
    try:
        counts = prepare(chosen.folder, chosen.out, chosen.books, chosen.hold_out_every, chosen.longest)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{chosen.out}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
