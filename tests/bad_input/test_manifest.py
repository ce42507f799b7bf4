"""The manifest and its files belong together, and each kind of mistake has cases and a line in the docs."""

from __future__ import annotations

import re

import pytest
from tests.bad_input.cases import FILES, HERE, load_cases, load_rows
from tests.bad_input.test_made import MADE

DOCS = HERE.parents[1] / "docs" / "data.md"


def plain(text: str) -> str:
    return " ".join(text.split())


def test_there_are_at_least_150_cases_with_files_of_their_own() -> None:
    files = [case.file for case in load_cases()]
    assert len(files) == len(set(files)) >= 150
    assert all((FILES / file).exists() for file in files)


def test_every_file_belongs_to_a_case() -> None:
    known = {case.file for case in load_cases()}
    stored = {"/".join(path.relative_to(FILES).parts[:2]) for path in FILES.rglob("*") if path.is_file()}
    assert {name for name in stored if not name.startswith("good/")} == known


@pytest.mark.parametrize("row", load_rows())
def test_every_kind_of_mistake_has_a_case(row: str) -> None:
    assert row in {case.row for case in load_cases()} | {made.row for made in MADE}


def test_every_case_is_of_a_known_kind_and_has_one_expectation() -> None:
    for case in load_cases():
        assert case.row in load_rows(), case.file
        assert (case.refused is None) != (case.accepted is None), case.file
        assert case.accepted is None or all(case.accepted) or case.command == "dry-run", case.file


@pytest.mark.parametrize("row", load_rows())
def test_the_docs_say_what_becomes_of_it(row: str) -> None:
    entry = load_rows()[row]
    assert f"| {entry['input']} | {entry['ours']} |" in plain(DOCS.read_text(encoding="utf-8"))


def test_the_docs_say_no_more_than_that() -> None:
    section = DOCS.read_text(encoding="utf-8").partition("## What is refused")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    assert len(lines) == len(load_rows()) + 1  # the heading
