"""Which tasks a step solves: each once, as many as are due, from where they are to come; and the verdicts on its attempts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffers.buffers import TaskBuffers
from configs.play_sections import SolverSection
from configs.schema import RunConfig
from selfplay.solve import choose_tasks, verdicts_on
from selfplay.step_plan import Quota, StepPlan
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Answer, Kind, Origin, Task, Verdict
from verifier.verifier import FamilyVerifier

NUM_KNOWN, NUM_LEARNABLE = 60, 40


@pytest.fixture(scope="module")
def tasks(family: ArithmeticFamily, verifier: FamilyVerifier) -> list[Task]:
    """All different."""
    rng = random.Random(0)
    drafts = {draft.fingerprint: draft for draft in (family.generate(Kind.DEDUCTION, rng) for _ in range(400))}
    admissions = verifier.build(list(drafts.values())[: NUM_KNOWN + NUM_LEARNABLE + 20], Origin.GENERATED, 0, "t")
    return [admission.task for admission in admissions if admission.task]


@pytest.fixture(scope="module")
def buffers(tasks: list[Task]) -> TaskBuffers:
    """Most of them are solved always, the others half of the time."""
    held = TaskBuffers([Kind.DEDUCTION], 1000)
    held.add(tasks[: NUM_KNOWN + NUM_LEARNABLE], [1.0] * NUM_KNOWN + [0.5] * NUM_LEARNABLE)
    return held


def chosen(buffers: TaskBuffers, fresh: list[Task], count: int, num_fresh: int, step: int, **solver: object) -> list[Task]:
    config = RunConfig(solver=SolverSection(top_up="frontier", **solver))  # type: ignore[arg-type]
    plan = StepPlan(step=step, quotas={Kind.DEDUCTION: Quota(tasks=count, fresh=num_fresh, failed=0)})
    return list(choose_tasks(config, plan, buffers, Kind.DEDUCTION, fresh).tasks)


def test_rehearsal_draws_its_share_from_all_that_is_held_and_none_without_it(buffers: TaskBuffers, tasks: list[Task]) -> None:
    known = {task.task_id for task in tasks[:NUM_KNOWN]}

    def share_known(rehearsal: float) -> float:
        drawn = [task for step in range(1, 41) for task in chosen(buffers, [], 20, 0, step, rehearsal=rehearsal)]
        return sum(task.task_id in known for task in drawn) / len(drawn)

    shares = [share_known(rehearsal) for rehearsal in (0, 0.5, 1)]
    assert shares[0] < 0.12
    assert shares[2] == pytest.approx(NUM_KNOWN / (NUM_KNOWN + NUM_LEARNABLE), abs=0.08)
    assert shares[1] == pytest.approx((shares[0] + shares[2]) / 2, abs=0.08)


@given(count=st.integers(1, 90), num_fresh=st.integers(0, 20), rehearsal=st.floats(0, 1), step=st.integers(1, 5))
def test_a_step_has_its_number_of_tasks_each_once_and_the_new_ones_among_them(
    buffers: TaskBuffers, tasks: list[Task], count: int, num_fresh: int, rehearsal: float, step: int
) -> None:
    fresh = tasks[NUM_KNOWN + NUM_LEARNABLE :]
    num_fresh = min(num_fresh, count, len(fresh))
    found = chosen(buffers, fresh, count, num_fresh, step, rehearsal=rehearsal)
    assert len(found) == count == len({task.fingerprint for task in found})
    assert found[:num_fresh] == fresh[:num_fresh]


class SeeingVerifier:
    """Has the real one's verdicts, and remembers what it was asked."""

    def __init__(self, real: FamilyVerifier) -> None:
        self.real, self.seen = real, list[tuple[Task, str]]()

    def grade(self, answers: list[Answer]) -> list[Verdict]:
        self.seen += [(answer.task, answer.text) for answer in answers]
        return self.real.grade(answers)


@given(drawn=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["7", "07", " 7", "no", ""])), max_size=30))
def test_equal_answers_are_judged_once_and_every_attempt_has_the_verdict_it_would_have_alone(
    drawn: list[tuple[int, str]], tasks: list[Task], verifier: FamilyVerifier
) -> None:
    answers = [Answer(attempt_id=str(i), task=tasks[number], text=text) for i, (number, text) in enumerate(drawn)]
    answers += [
        Answer(attempt_id=f"right-{i}", task=tasks[number], text=tasks[number].pairs[0].output)
        for i, (number, _) in enumerate(drawn)
    ]
    seeing = SeeingVerifier(verifier)
    assert verdicts_on(seeing, answers) == verifier.grade(answers)  # type: ignore[arg-type]  # of the protocol it needs one method
    assert len(seeing.seen) == len(set(seeing.seen)) == len({(answer.task, answer.text) for answer in answers})
