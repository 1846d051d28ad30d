import json
from pathlib import Path

import pytest

from configs.system_sections import VerifiersSection
from tasks.records import AdmissionStatus, Answer, Kind, Origin, Proposal, VerdictStatus
from verifier.execution import Call, Outcome, load_executor
from verifier.recorded import RecordedExecutor
from verifier.verifier import FamilyVerifier


@pytest.fixture
def verifier(tmp_path: Path) -> FamilyVerifier:
    rows = [{"prompt": f"{left} + 7 =", "answer": left + 7} for left in range(50)]
    rows += [{"prompt": f"Spell {left}", "answer": f"number {left}"} for left in range(50)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return FamilyVerifier("prompts", {"path": str(path), "heldout_share": 0.3}, VerifiersSection())


def test_the_output_is_the_recorded_answer_whatever_the_prompt() -> None:
    executor = load_executor("recorded", VerifiersSection())
    assert isinstance(executor, RecordedExecutor)
    calls = [Call(program="2 + 2 =", input="5"), Call(program="import os", input="")]
    assert executor.run(calls) == [Outcome("ok", "5"), Outcome("ok", "")]


def test_every_row_has_an_answer_that_grades_as_right_and_others_that_do_not(verifier: FamilyVerifier) -> None:
    family = verifier.family
    drafts = [draft for suite in (*family.heldout().values(), *family.datasets().values()) for draft in suite]
    tasks = [admission.task for admission in verifier.build(drafts, Origin.HELDOUT, 0, "x") if admission.task]
    right = [Answer(attempt_id="a", task=task, text=family.reference_answer(task)) for task in tasks]
    wrong = [Answer(attempt_id="a", task=task, text="1" + family.reference_answer(task)) for task in tasks]
    assert len(tasks) == 100
    assert {verdict.status for verdict in verifier.grade(right)} == {VerdictStatus.RIGHT}
    assert {verdict.status for verdict in verifier.grade(wrong)} == {VerdictStatus.WRONG}


def test_a_proposal_is_refused_and_never_an_exception(verifier: FamilyVerifier) -> None:
    [admission] = verifier.admit([Proposal(proposal_id="p", step=1, kind=Kind.DEDUCTION, text="2 + 2 =")])
    assert (admission.status, admission.reason, admission.task) == (AdmissionStatus.BAD_FORMAT, "no_proposer", None)
