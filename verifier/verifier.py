"""The verifier: admission of proposals and grading of attempts, for one family with its executor.

It owns the ground truth and never sees a model, a buffer or a reward. Model text is data: the family parses it, the
executor computes with it under bounds, and whatever goes wrong is an admission or a verdict with a reason. A batch is
parsed whole, then computed in one call of the executor, which runs it on all of its workers.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

from configs.system_sections import VerifiersSection
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
from verifier.execution import Call, Executor, Outcome, load_executor

Check = tuple[str, Sequence[Pair]]  # a program and the pairs that must hold


class FamilyVerifier:
    """Pure: the same call gives the same result, so that a call may be repeated after a crash of its host."""

    def __init__(self, family_name: str, options: Mapping[str, object], section: VerifiersSection) -> None:
        self.family: Family = load_family(family_name, options)
        self.executor: Executor = load_executor(self.family.executor, section)

    def admit(self, proposals: Sequence[Proposal]) -> list[Admission]:
        """Parse → bounds and held-out → compute. Duplicates are the buffers' business, not known here."""
        parsed = [self.family.parse_proposal(proposal) for proposal in proposals]
        drafts = [draft for draft in parsed if isinstance(draft, Draft)]
        tasks = iter(self._compute(drafts, deterministic=True))
        return [
            _refused(proposal, draft)
            if isinstance(draft, Malformed)
            else self._admission(proposal.proposal_id, draft, next(tasks), Origin.PROPOSED, proposal.step)
            for proposal, draft in zip(proposals, parsed, strict=True)
        ]

    def build(self, drafts: Sequence[Draft], origin: Origin, step: int, prefix: str) -> list[Admission]:
        """Compute drafts that no model wrote; they skip the parser and the held-out check, never the executor."""
        computed = self._compute(drafts, deterministic=origin is not Origin.GENERATED)
        return [
            self._admission(f"{prefix}-{number}", draft, outcomes, origin, step)
            for number, (draft, outcomes) in enumerate(zip(drafts, computed, strict=True))
        ]

    def grade(self, answers: Sequence[Answer]) -> list[Verdict]:
        parsed = [self.family.parse_answer(answer.task, answer.text) for answer in answers]
        readable = [(answer.task, text) for answer, text in zip(answers, parsed, strict=True) if isinstance(text, str)]
        reasons = iter(self._mismatches(readable))
        return [
            _unreadable(answer, text) if isinstance(text, Malformed) else _verdict(answer, next(reasons))
            for answer, text in zip(answers, parsed, strict=True)
        ]

    def close(self) -> None:
        self.executor.close()

    def _compute(self, drafts: Sequence[Draft], *, deterministic: bool) -> list[list[Outcome]]:
        """The outcomes of each draft's inputs."""
        calls = [
            Call(program=draft.program, input=text, deterministic=deterministic) for draft in drafts for text in draft.inputs
        ]
        outcomes = iter(self.executor.run(calls))
        return [list(islice(outcomes, len(draft.inputs))) for draft in drafts]

    def _admission(self, task_id: str, draft: Draft, outcomes: Sequence[Outcome], origin: Origin, step: int) -> Admission:
        failed = next((outcome for outcome in outcomes if outcome.status != "ok"), None)
        if failed is not None:
            return Admission(proposal_id=task_id, status=AdmissionStatus.REFUSED, reason=_reason(failed))
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

    def _mismatches(self, answers: Sequence[tuple[Task, str]]) -> list[str]:
        """Why each readable answer is not right; empty where it is. Values are compared, programs and inputs are run."""
        computed = iter(
            self._first_differences([_check(task, text) for task, text in answers if task.kind is not Kind.DEDUCTION])
        )
        return [self._value(task, text) if task.kind is Kind.DEDUCTION else next(computed) for task, text in answers]

    def _value(self, task: Task, text: str) -> str:
        return "" if self.executor.same(task.pairs[0].output, text) else "value"

    def _first_differences(self, checks: Sequence[Check]) -> list[str]:
        """Every program's first pair, then the further pairs of those that hold so far: most wrong answers fail at once."""
        reasons = self._differences([(program, pairs[:1]) for program, pairs in checks])
        holding = [(program, pairs[1:]) for (program, pairs), reason in zip(checks, reasons, strict=True) if not reason]
        rest = iter(self._differences(holding))
        return [reason or next(rest) for reason in reasons]

    def _differences(self, checks: Sequence[Check]) -> list[str]:
        calls = [Call(program=program, input=pair.input) for program, pairs in checks for pair in pairs]
        outcomes = iter(self.executor.run(calls))
        return [self._first_difference(pairs, list(islice(outcomes, len(pairs)))) for _, pairs in checks]

    def _first_difference(self, pairs: Sequence[Pair], outcomes: Sequence[Outcome]) -> str:
        for pair, outcome in zip(pairs, outcomes, strict=True):
            if outcome.status != "ok":
                return _reason(outcome)
            if not self.executor.same(pair.output, outcome.output):
                return "value"
        return ""


def _check(task: Task, text: str) -> Check:
    """Abduction: any input that gives the output. Induction: every hidden pair."""
    if task.kind is Kind.ABDUCTION:
        return task.program, [Pair(input=text, output=task.pairs[0].output)]
    return text, task.pairs[task.num_shown :]


def _reason(outcome: Outcome) -> str:
    return outcome.reason or outcome.status


def _refused(proposal: Proposal, malformed: Malformed) -> Admission:
    status = AdmissionStatus.REFUSED if malformed.well_formed else AdmissionStatus.BAD_FORMAT
    return Admission(proposal_id=proposal.proposal_id, status=status, reason=malformed.reason)


def _unreadable(answer: Answer, malformed: Malformed) -> Verdict:
    status = VerdictStatus.WRONG if malformed.well_formed else VerdictStatus.ILL_FORMED
    return Verdict(attempt_id=answer.attempt_id, status=status, reason=malformed.reason)


def _verdict(answer: Answer, reason: str) -> Verdict:
    status = VerdictStatus.WRONG if reason else VerdictStatus.RIGHT
    return Verdict(attempt_id=answer.attempt_id, status=status, reason=reason or "ok")
