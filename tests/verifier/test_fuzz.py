import ast
import random
import warnings
from collections.abc import Sequence

import pytest

from benchmarks.fuzz_verifier import DATA, Cases, Trees, fuzz, read_rows
from verifier.execution import Call, Outcome
from verifier.python import PythonExecutor

SECONDS, CASES = 10.0, 600  # as long as both say, however slow the machine is
ROWS = [("def f(x):\n    y = [x, 1]\n    return y", "3"), ("def f(a, b=2):\n    return {a: b}", "'k', b=[1]")]


def test_the_supervisor_survives_a_moment_of_noise() -> None:
    report = fuzz(1, 0.5, ROWS)
    assert report.problems == []
    assert report.cases >= 120
    assert {"ok", "error"} <= set(report.statuses)


@pytest.mark.slow
def test_the_supervisor_survives_damaged_real_programs() -> None:
    if not DATA.is_file():
        pytest.skip(f"the CRUXEval rows are not at {DATA}")
    report = fuzz(2, SECONDS, read_rows(DATA), least=CASES)
    assert report.problems == []
    assert report.cases >= CASES


def test_the_same_seed_makes_the_same_cases() -> None:
    first, second, other = (Cases(seed, ROWS) for seed in (3, 3, 4))
    made = [first.next() for _ in range(50)]
    assert made == [second.next() for _ in range(50)]
    assert made != [other.next() for _ in range(50)]


def test_random_trees_are_of_every_kind_of_statement_and_expression() -> None:
    trees = Trees(random.Random(0))
    seen = {type(node) for _ in range(800) for kind in (ast.stmt, ast.expr) for node in ast.walk(trees.tree(kind, 0))}
    assert {*ast.stmt.__subclasses__(), *ast.expr.__subclasses__(), *ast.pattern.__subclasses__()} <= seen


def test_a_part_of_the_programs_runs() -> None:
    programs = [Trees(random.Random(seed)).program() for seed in range(40)]
    assert sum(compiles(program) for program in programs) > 20


def compiles(text: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(text, "", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def test_what_goes_wrong_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    run = PythonExecutor.run

    def broken(executor: PythonExecutor, calls: Sequence[Call]) -> list[Outcome]:
        if len(calls) > 100:
            raise RuntimeError("a broken pipe, say")
        return run(executor, calls)

    monkeypatch.setattr(PythonExecutor, "run", broken)
    report = fuzz(1, 0.01, ROWS)
    [problem] = report.problems
    assert problem.startswith("round 0: Traceback")
    assert "a broken pipe, say" in problem
