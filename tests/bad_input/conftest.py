"""Heavy imports happen once, so that the time limit of a case is that of its own work."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bad_input.cases import lay_out, load_cases, run_here


@pytest.fixture(scope="session", autouse=True)
def warm(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One accepted model, planned as every run is."""
    folder = tmp_path_factory.mktemp("warm")
    case = next(case for case in load_cases() if case.kind == "models" and case.accepted)
    lay_out(case, folder, tiny_model)
    assert run_here(case.words(), folder).code == 0
