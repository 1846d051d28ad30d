import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.system_sections import VerifiersSection
from tasks.mixed.programs import list_program
from tasks.records import Answer, Draft, Kind, Origin, Proposal, Task, VerdictStatus
from verifier.execution import Call, Outcome, load_executor
from verifier.mixed import MixedExecutor
from verifier.verifier import FamilyVerifier

EXECUTOR = MixedExecutor(VerifiersSection())
VERIFIER = FamilyVerifier("mixed", {}, VerifiersSection())


def run(program: str, text: str) -> Outcome:
    [outcome] = EXECUTOR.run([Call(program=program, input=text)])
    return outcome


@given(st.integers(-9, 9), st.lists(st.integers(-9, 9), min_size=2, max_size=8))
def test_values_are_those_of_the_list(target: int, items: list[int]) -> None:
    text = ", ".join(map(str, items))
    count = f"count(0 - {-target}" if target < 0 else f"count({target}"
    program = list_program("max", None, len(items)).replace("max(", f"{count}, ")
    assert run(program, text) == Outcome("ok", str(items.count(target)))
    assert run(list_program("max", None, len(items)), text) == Outcome("ok", str(max(items)))
    assert run(list_program("min", None, len(items)), text) == Outcome("ok", str(min(items)))


@pytest.mark.parametrize(
    ("program", "given_input", "output"),
    [
        ("a + b * c", "1, 2, 3", "7"),
        ("count(a, b, c, d)", "3, 1, 3, 3", "2"),
        ("max(a + b, c)", "1, 2, 3", "3"),
        ("min(a, 0 - b)", "1, 2", "-2"),
    ],
)
def test_arguments_are_integer_expressions(program: str, given_input: str, output: str) -> None:
    assert run(program, given_input) == Outcome("ok", output)


@pytest.mark.parametrize(
    ("program", "given_input", "outcome"),
    [
        ("max(a", "1", Outcome("error", reason="syntax")),
        ("max(a, b)", "1", Outcome("error", reason="unknown_variable")),
        ("max(a, b)", "1, x", Outcome("error", reason="input_syntax")),
        ("max(a, b)", "1, " * 8 + "1", Outcome("error", reason="too_many_operands")),
        ("max(a, 9 * " + "9" * 40 + ")", "1", Outcome("too_large_output", reason="digits")),
    ],
)
def test_what_cannot_be_computed_is_an_outcome_with_a_reason(program: str, given_input: str, outcome: Outcome) -> None:
    assert run(program, given_input) == outcome


@given(st.text(max_size=80) | st.text(alphabet="countmaxin(), abc123+*", max_size=60), st.text(max_size=80))
def test_hostile_text_never_raises(program: str, given_input: str) -> None:
    assert run(program, given_input).status in ("ok", "error", "too_large_output")


def test_the_executor_is_found_by_its_name() -> None:
    assert isinstance(load_executor("mixed", VerifiersSection()), MixedExecutor)


def verdict(task: Task, text: str) -> tuple[VerdictStatus, str]:
    [found] = VERIFIER.grade([Answer(attempt_id="a", task=task, text=text)])
    return found.status, found.reason


def admitted(kind: Kind, text: str, program: str = "") -> Task:
    [admission] = VERIFIER.admit([Proposal(proposal_id="p", step=1, kind=kind, text=text, program=program)])
    assert admission.task is not None, admission.reason
    return admission.task


def test_deduction_of_a_proposed_list_is_right_only_for_its_value() -> None:
    task = admitted(Kind.DEDUCTION, "Count 93 in 93 91 93 95")
    assert (task.program, task.pairs[0].input, task.pairs[0].output) == ("count(93, a, b, c, d)", "93, 91, 93, 95", "2")
    assert verdict(task, "2") == (VerdictStatus.RIGHT, "ok")
    assert verdict(task, "3") == (VerdictStatus.WRONG, "value")
    assert verdict(task, "two") == (VerdictStatus.ILL_FORMED, "no_number")


def test_abduction_of_a_list_takes_any_items_that_give_the_output() -> None:
    task = admitted(Kind.ABDUCTION, "Count 93 in 93 91 93")
    assert verdict(task, "2, 93, 93") == (VerdictStatus.RIGHT, "ok")
    assert verdict(task, "93, 93, 93") == (VerdictStatus.WRONG, "value")


def test_induction_of_a_list_program_is_judged_by_the_hidden_pairs() -> None:
    task = admitted(Kind.INDUCTION, "(92,93) (94,95) (96,97) (95,92) (97,93) (90,97)", "max(a, b)")
    assert verdict(task, "max(b, a)") == (VerdictStatus.RIGHT, "ok")
    assert verdict(task, "b") == (VerdictStatus.WRONG, "value")  # fits the shown pairs, not the hidden ones
    assert verdict(task, "a + b") == (VerdictStatus.WRONG, "value")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arithmetic", "mixed"])
def test_every_heldout_and_training_problem_has_an_answer_that_grades_as_right(name: str) -> None:
    verifier = FamilyVerifier(name, {}, VerifiersSection())
    family = verifier.family
    for drafts in (*family.heldout().values(), *family.datasets().values()):
        tasks = [admission.task for admission in verifier.build(drafts, Origin.HELDOUT, 0, "x") if admission.task]
        answers = [Answer(attempt_id="a", task=task, text=family.reference_answer(task)) for task in tasks]
        assert len(answers) == len(drafts)
        assert {found.status for found in verifier.grade(answers)} == {VerdictStatus.RIGHT}


def test_a_draft_of_two_sorts_in_one_batch_is_computed_in_order() -> None:
    drafts = [
        Draft(kind=Kind.DEDUCTION, program="min(a, b)", inputs=("4, 9",)),
        Draft(kind=Kind.DEDUCTION, program="a * b", inputs=("4, 9",)),
    ]
    outputs = [
        admission.task.pairs[0].output for admission in VERIFIER.build(drafts, Origin.GENERATED, 0, "x") if admission.task
    ]
    assert outputs == ["4", "36"]
