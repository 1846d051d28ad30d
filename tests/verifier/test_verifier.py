import pytest

from tasks.records import AdmissionStatus, Answer, Draft, Kind, Origin, Proposal, Task, VerdictStatus
from verifier.verifier import FamilyVerifier


def admitted(verifier: FamilyVerifier, kind: Kind, text: str, program: str = "") -> Task:
    [admission] = verifier.admit([Proposal(proposal_id="p1", step=4, kind=kind, text=text, program=program)])
    assert admission.task is not None, admission.reason
    return admission.task


def verdict(verifier: FamilyVerifier, task: Task, text: str) -> tuple[VerdictStatus, str]:
    [found] = verifier.grade([Answer(attempt_id="a", task=task, text=text)])
    return found.status, found.reason


def test_the_verifier_computes_the_answer_that_the_proposer_never_gives(verifier: FamilyVerifier) -> None:
    task = admitted(verifier, Kind.DEDUCTION, "(91 - 13) * 77")
    assert (task.program, task.pairs[0].input, task.pairs[0].output) == ("(a - b) * c", "91, 13, 77", "6006")
    assert (task.origin, task.step, task.task_id) == (Origin.PROPOSED, 4, "p1")


def test_deduction_is_right_only_for_the_value(verifier: FamilyVerifier) -> None:
    task = admitted(verifier, Kind.DEDUCTION, "91 + 13")
    assert verdict(verifier, task, "104") == (VerdictStatus.RIGHT, "ok")
    assert verdict(verifier, task, "105") == (VerdictStatus.WRONG, "value")
    assert verdict(verifier, task, "it is 104") == (VerdictStatus.ILL_FORMED, "no_number")


def test_abduction_takes_any_operands_that_give_the_output(verifier: FamilyVerifier) -> None:
    task = admitted(verifier, Kind.ABDUCTION, "91 + 13")
    assert verdict(verifier, task, "52, 52") == (VerdictStatus.RIGHT, "ok")
    assert verdict(verifier, task, "52, 53") == (VerdictStatus.WRONG, "value")
    assert verdict(verifier, task, "104, 0") == (VerdictStatus.WRONG, "operand_range")


def test_induction_is_judged_by_the_hidden_half_alone(verifier: FamilyVerifier) -> None:
    text = "(92,92) (94,94) (96,96) (91,92) (93,95) (97,90)"
    task = admitted(verifier, Kind.INDUCTION, text, "a + b")
    assert task.num_shown == 3
    assert verdict(verifier, task, "b + a") == (VerdictStatus.RIGHT, "ok")
    assert verdict(verifier, task, "a + a") == (VerdictStatus.WRONG, "value")  # fits the shown pairs, not the hidden ones
    assert verdict(verifier, task, "a + c") == (VerdictStatus.WRONG, "unknown_variable")
    assert verdict(verifier, task, "sum") == (VerdictStatus.ILL_FORMED, "syntax")


@pytest.mark.parametrize(
    ("text", "status"),
    [("no", AdmissionStatus.BAD_FORMAT), ("7", AdmissionStatus.REFUSED), ("55 + 66", AdmissionStatus.ADMITTED)],
)
def test_a_proposal_that_reads_but_breaks_a_rule_is_told_from_one_that_does_not_read(
    verifier: FamilyVerifier, text: str, status: AdmissionStatus
) -> None:
    [admission] = verifier.admit([Proposal(proposal_id="p", step=0, kind=Kind.DEDUCTION, text=text)])
    assert admission.status is status
    assert (admission.task is not None) == (status is AdmissionStatus.ADMITTED)


def test_every_heldout_problem_has_an_answer_that_grades_as_right(verifier: FamilyVerifier) -> None:
    for name, drafts in verifier.family.heldout().items():
        tasks = [admission.task for admission in verifier.build(drafts, Origin.HELDOUT, 0, name)]
        answers = [
            Answer(attempt_id=task.task_id, task=task, text=verifier.family.reference_answer(task)) for task in tasks if task
        ]
        assert len(answers) == len(drafts)
        assert all(found.status is VerdictStatus.RIGHT for found in verifier.grade(answers))


def test_a_program_that_grows_too_large_is_refused_with_the_reason(verifier: FamilyVerifier) -> None:
    draft = Draft(kind=Kind.DEDUCTION, program="a * a * a * a * a * a", inputs=("9999999999",))
    [admission] = verifier.build([draft], Origin.GENERATED, 0, "x")
    assert (admission.status, admission.reason) == (AdmissionStatus.REFUSED, "digits")
