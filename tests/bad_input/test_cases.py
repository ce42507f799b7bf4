"""Each file of the corpus ends as the manifest says: refused with place, value and fix, or accepted as meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.bad_input.cases import (
    Case,
    check_acceptance,
    check_refusal,
    lay_out,
    listing,
    load_cases,
    run_apart,
    run_here,
)

APART = [case for case in load_cases() if case.refused][::22]


def parameters() -> list[Any]:
    """The cases, named by row and file."""
    return [pytest.param(case, id=f"{case.row}-{case.file}") for case in load_cases()]


@pytest.fixture
def project(case: Case, tmp_path: Path, tiny_model: Path) -> Path:
    """The case's own folder."""
    import torch

    if case.only == "cpu" and torch.cuda.is_available():
        pytest.skip("a machine with a GPU can do it")
    lay_out(case, tmp_path, tiny_model)
    return tmp_path


@pytest.mark.timeout(60, func_only=True)
@pytest.mark.parametrize("case", parameters())
def test_a_bad_file_ends_as_the_manifest_says(case: Case, project: Path) -> None:
    before = listing(project)
    done = run_here(case.words(), project)
    if case.refused:
        check_refusal(case, done)
    else:
        check_acceptance(case, done)
    assert listing(project) == before


@pytest.mark.parametrize("case", APART, ids=lambda case: f"{case.row}-{case.file}")
def test_a_process_of_its_own_ends_the_same(case: Case, project: Path) -> None:
    before = listing(project)
    check_refusal(case, run_apart(case.words(), project))
    assert listing(project) == before
