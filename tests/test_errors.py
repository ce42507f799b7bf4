"""Messages name place, value and fix, and do not repeat themselves."""

from __future__ import annotations

from eterna.errors import Place, Problem, UserError


def test_a_problem_is_place_message_and_fix() -> None:
    assert str(Problem("x is 3", Place("run.yaml", 4, 2), "use 5")) == "run.yaml:4:2: x is 3\n    fix: use 5"


def test_a_fix_shared_by_neighbours_is_said_once() -> None:
    problems = [Problem(f"p{n}", Place("f", n), "one fix") for n in range(3)] + [Problem("q", fix="other")]
    assert str(UserError(problems)) == "f:0: p0\nf:1: p1\nf:2: p2\n    fix: one fix\nq\n    fix: other"
