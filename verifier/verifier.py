"""The verifier: admission of proposals and grading of attempts, for one family with its executor.

It owns the ground truth and never sees a model, a buffer or a reward. Model text is data: the family parses it, the
executor computes with it under bounds, and whatever goes wrong is an admission or a verdict with a reason.
"""

from collections.abc import Mapping, Sequence

from tasks.family import Family, load_family
from tasks.records import (
    Admission,
    AdmissionStatus,
    Answer,
    Draft,
    Kind,
    Malformed,
    Origin,
    Pair,
    Proposal,
    Task,
    Verdict,
    VerdictStatus,
)
from verifier.execution import Executor, load_executor


class FamilyVerifier:
    """Pure: the same call gives the same result, so that a call may be repeated after a crash of its host."""

    def __init__(self, family_name: str, options: Mapping[str, object]) -> None:
        self.family: Family = load_family(family_name, options)
        self.executor: Executor = load_executor(self.family.executor)

    def admit(self, proposals: Sequence[Proposal]) -> list[Admission]:
        """Parse → bounds and held-out → compute. Duplicates are the buffers' business, not known here."""
        return [self._admit(proposal) for proposal in proposals]

    def build(self, drafts: Sequence[Draft], origin: Origin, step: int, prefix: str) -> list[Admission]:
        """Compute drafts that no model wrote; they skip the parser and the held-out check, never the executor."""
        return [self._compute(f"{prefix}-{number}", draft, origin, step) for number, draft in enumerate(drafts)]

    def grade(self, answers: Sequence[Answer]) -> list[Verdict]:
        return [self._grade(answer) for answer in answers]

    def _admit(self, proposal: Proposal) -> Admission:
        draft = self.family.parse_proposal(proposal)
        if isinstance(draft, Malformed):
            status = AdmissionStatus.REFUSED if draft.well_formed else AdmissionStatus.BAD_FORMAT
            return Admission(proposal_id=proposal.proposal_id, status=status, reason=draft.reason)
        return self._compute(proposal.proposal_id, draft, Origin.PROPOSED, proposal.step)

    def _compute(self, task_id: str, draft: Draft, origin: Origin, step: int) -> Admission:
        outcomes = self.executor.run(draft.program, draft.inputs)
        failed = next((outcome for outcome in outcomes if outcome.status != "ok"), None)
        if failed is not None:
            reason = failed.reason or failed.status
            return Admission(proposal_id=task_id, status=AdmissionStatus.REFUSED, reason=reason)
        pairs = tuple(Pair(input=text, output=outcome.output) for text, outcome in zip(draft.inputs, outcomes, strict=True))
        task = Task(
            task_id=task_id,
            kind=draft.kind,
            program=draft.program,
            pairs=pairs,
            num_shown=self.family.num_shown(draft),
            fingerprint=draft.fingerprint,
            origin=origin,
            step=step,
            message=draft.message,
            difficulty=self.family.difficulty(draft),
        )
        return Admission(proposal_id=task_id, status=AdmissionStatus.ADMITTED, reason="ok", task=task)

    def _grade(self, answer: Answer) -> Verdict:
        parsed = self.family.parse_answer(answer.task, answer.text)
        if isinstance(parsed, Malformed):
            status = VerdictStatus.WRONG if parsed.well_formed else VerdictStatus.ILL_FORMED
            return Verdict(attempt_id=answer.attempt_id, status=status, reason=parsed.reason)
        reason = self._mismatch(answer.task, parsed)
        status = VerdictStatus.WRONG if reason else VerdictStatus.RIGHT
        return Verdict(attempt_id=answer.attempt_id, status=status, reason=reason or "ok")

    def _mismatch(self, task: Task, parsed: str) -> str:
        """Why a readable answer is not right; empty when it is."""
        if task.kind is Kind.DEDUCTION:
            return "" if self.executor.same(task.pairs[0].output, parsed) else "value"
        if task.kind is Kind.ABDUCTION:
            return self._first_difference(task.program, [Pair(input=parsed, output=task.pairs[0].output)])
        return self._first_difference(parsed, task.pairs[task.num_shown :])

    def _first_difference(self, program: str, pairs: Sequence[Pair]) -> str:
        for pair, outcome in zip(pairs, self.executor.run(program, [pair.input for pair in pairs]), strict=True):
            if outcome.status != "ok":
                return outcome.reason or outcome.status
            if not self.executor.same(pair.output, outcome.output):
                return "value"
        return ""
