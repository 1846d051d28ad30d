"""A held-out problem is found wherever the run met it, in whatever form gives it away, and nothing else is called one."""

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from configs.play_sections import ModelSection, StandInSection
from configs.schema import RunConfig
from selfplay.contamination import Contamination, Seen, compare, forbidden_forms
from selfplay.warm_start import redrawn_tasks
from tasks.arithmetic.family import ArithmeticFamily
from tasks.family import Family, load_family
from tasks.records import Draft, Kind
from verifier.verifier import FamilyVerifier

FAMILIES = ("arithmetic", "mixed", "python")


def seen(draft: Draft) -> Seen:
    return Seen(place="buffers", name="t", draft=draft, fingerprint=draft.fingerprint)


def found(family: Family, drafts: Iterable[Draft]) -> Contamination:
    return compare(family, {"buffers": [seen(draft) for draft in drafts]})


@pytest.fixture(scope="module", params=FAMILIES)
def any_family(request: pytest.FixtureRequest) -> Family:
    options = {"heldout_deduction": 20, "heldout_abduction": 20, "heldout_induction": 20} if request.param == "python" else {}
    return load_family(request.param, options)


def test_every_problem_of_every_suite_is_found(any_family: Family) -> None:
    problems = [draft for suite in any_family.heldout().values() for draft in suite]
    result = found(any_family, problems)
    assert len(result.hits) == len({draft.fingerprint for draft in problems}) == result.checked["buffers"]


def test_a_deduction_problem_is_found_as_abduction_too(any_family: Family) -> None:
    problems = [replace(draft, kind=Kind.ABDUCTION) for draft in any_family.heldout()["deduction"]]
    result = found(any_family, problems)
    assert len(result.hits) == len(problems)
    assert {hit.form for hit in result.hits} <= {"deduction as abduction", "abduction", "deduction_full as abduction"}


def test_what_the_family_generates_is_clean(any_family: Family) -> None:
    rng = random.Random(5)
    assert not found(any_family, [any_family.generate(kind, rng) for kind in Kind for _ in range(100)]).hits


def test_an_exchange_of_operands_is_counted_apart(family: ArithmeticFamily) -> None:
    problems = [draft for draft in family.heldout()["deduction"] if draft.program == "a + b"]
    swapped = [replace(draft, inputs=(", ".join(reversed(draft.inputs[0].split(", "))),)) for draft in problems]
    forbidden = forbidden_forms(family)
    clean = [draft for draft in swapped if draft.fingerprint not in forbidden]
    result = found(family, clean)
    assert clean
    assert not result.hits
    assert result.alike["buffers"] == len(clean)


@pytest.mark.slow
def test_a_problem_of_an_evaluation_file_is_found_by_its_normalised_program_whatever_its_input(tmp_path: Path) -> None:
    path = tmp_path / "held.jsonl"
    path.write_text('{"code": "def f(n):\\n    # a comment\\n    return n * 7 + 1"}\n')
    family = load_family("python", {"heldout_files": [str(path)]})
    draft = Draft(kind=Kind.DEDUCTION, program="def f(x):\n    return x * 7 + 1", inputs=("12345",))
    assert [hit.form for hit in found(family, [draft]).hits] == ["the family refuses it"]
    assert not found(family, [replace(draft, program="def f(x):\n    return x * 7 + 2")]).hits


def test_the_warm_start_is_drawn_again_whole_and_is_clean(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    config = RunConfig(model=ModelSection(stand_in=StandInSection(warmup_steps=20, batch_size=32)))
    tasks = redrawn_tasks(config, family, verifier)
    assert [task.fingerprint for task in tasks] == [task.fingerprint for task in redrawn_tasks(config, family, verifier)]
    assert len(tasks) > 300
    drafts = [Draft(kind=t.kind, program=t.program, inputs=tuple(pair.input for pair in t.pairs)) for t in tasks]
    assert not found(family, drafts).hits


def test_a_family_that_forgets_its_guard_is_found_out_by_its_suites() -> None:
    class Careless(ArithmeticFamily):
        def is_heldout(self, draft: Draft) -> bool:
            return False

    careless = Careless()
    problem = next(iter(careless.heldout()["deduction"]))
    assert [hit.form for hit in found(careless, [problem]).hits] == ["deduction"]
