"""The hardest held-out tasks: which they are, how many fail, and how far off the worst answer is."""

from dataclasses import replace

import pytest

from selfplay.evaluate import judge_suite, task_item
from selfplay.hard_items import hard_scalars
from selfplay.items import Completion, SuiteResult
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Draft, Kind, Origin, Task
from verifier.verifier import FamilyVerifier


@pytest.fixture
def tasks(verifier: FamilyVerifier) -> list[Task]:
    """Of 4, 5 and 6 digits, one operator each: 33, 444 and 1111 + 22."""
    drafts = [Draft(kind=Kind.DEDUCTION, program="a + b", inputs=(text,)) for text in ("11, 22", "222, 222", "1111, 22")]
    found = [admission.task for admission in verifier.build(drafts, Origin.HELDOUT, 0, "t")]
    return [task for task in found if task is not None]


def answered(
    family: ArithmeticFamily, verifier: FamilyVerifier, tasks: list[Task], texts: list[str], name: str = "deduction"
) -> SuiteResult:
    items = [task_item(family, task, task.task_id) for task in tasks]
    cut = [Completion(text=text.rstrip("~"), truncated=text.endswith("~")) for text in texts]
    return judge_suite(name, items, cut, verifier)


def test_the_hardest_are_told_with_their_violations_and_the_worst_margin(
    family: ArithmeticFamily, verifier: FamilyVerifier, tasks: list[Task]
) -> None:
    result = answered(family, verifier, tasks, ["-900", "440", "1133"])
    hard = hard_scalars(family, [result], 2)
    assert hard == {
        "eval/hard/deduction/items": 2,
        "eval/hard/deduction/violations": 1,
        "eval/hard/deduction/from_difficulty": 7.0,
        "eval/hard/deduction/worst_margin": 4.0,
    }
    assert hard_scalars(family, [result], 9)["eval/hard/deduction/worst_margin"] == 933
    assert hard_scalars(family, [result], 0) == {}


def test_an_answer_that_is_none_or_was_cut_is_a_violation_without_a_margin(
    family: ArithmeticFamily, verifier: FamilyVerifier, tasks: list[Task]
) -> None:
    hard = hard_scalars(family, [answered(family, verifier, tasks[1:], ["what?", "11~"])], 5)
    assert hard["eval/hard/deduction/violations"] == 2
    assert "eval/hard/deduction/worst_margin" not in hard


def test_a_task_of_several_suites_counts_once_and_one_that_may_be_trained_on_not_at_all(
    family: ArithmeticFamily, verifier: FamilyVerifier, tasks: list[Task]
) -> None:
    both = [answered(family, verifier, tasks, ["0", "0", "0"], name) for name in ("deduction", "deduction_full")]
    assert hard_scalars(family, both, 9)["eval/hard/deduction/items"] == 3
    trained = [replace(task, origin=Origin.GENERATED) for task in tasks]
    assert hard_scalars(family, [answered(family, verifier, trained, ["0", "0", "0"], "train")], 9) == {}


def test_a_kind_whose_answers_have_no_distance_has_no_margin(family: ArithmeticFamily, verifier: FamilyVerifier) -> None:
    [admission] = verifier.build([Draft(kind=Kind.ABDUCTION, program="a + b", inputs=("11, 22",))], Origin.HELDOUT, 0, "t")
    assert admission.task is not None
    hard = hard_scalars(family, [answered(family, verifier, [admission.task], ["1, 2"])], 1)
    assert hard == {
        "eval/hard/abduction/items": 1,
        "eval/hard/abduction/violations": 1,
        "eval/hard/abduction/from_difficulty": 5.0,
    }
