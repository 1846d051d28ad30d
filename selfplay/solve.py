"""The solving stages: which tasks are attempted, the attempts, and the verifier's verdicts.

A kind's tasks are this step's admitted proposals (up to its quota), then those mined from what failed, topped up from its
buffer; none is harder than the step's plan allows. Each gets G sampled attempts, never greedy: they measure its solve
rate, and with `reuse_attempts` they are also what the solver trains on. Without it (the paper's scheme) one further
attempt per task is trained on and the G are not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from configs.errors import ConfigError
from configs.play_sections import SolverSection
from configs.schema import RunConfig
from selfplay.protocols import Buffers, Verifier
from selfplay.rewards import solve_rate
from selfplay.step_plan import StepPlan
from tasks.family import Family
from tasks.records import Answer, Kind, Request, Role, Rollout, Task, Verdict, VerdictStatus
from tasks.seeds import derive_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One answer to one task, with its verdict. `measures`: counts for the solve rate; `trainable`: carries gradient."""

    rollout: Rollout
    verdict: Verdict
    measures: bool
    trainable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """A task with all its attempts of this step."""

    task: Task
    prompt: str
    attempts: tuple[Attempt, ...]

    @property
    def solve_rate(self) -> float:
        return solve_rate([attempt.verdict.status for attempt in self.attempts if attempt.measures])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a step solves of one kind. `mined`: ids of those that were drawn because they had failed."""

    tasks: tuple[Task, ...]
    mined: frozenset[str]


def choose_tasks(config: RunConfig, plan: StepPlan, buffers: Buffers, kind: Kind, fresh: Sequence[Task]) -> Chosen:
    """The kind's quota: those new in this step up to theirs, those that failed up to theirs, then others of the buffer.

    Fewer only where the buffer has no others within the bound; ConfigError where that leaves none at all. A buffered task
    that is also new in this step is not taken twice.
    """
    quota = plan.quotas[kind]
    new = [task for task in fresh if task.kind is kind and task.difficulty <= plan.hardest][: quota.fresh]
    mined = _mined(config, plan, buffers, kind, new)
    tasks = new + mined
    tasks += _rehearsed(config, plan, buffers, kind, tasks)
    draw = buffers.frontier if config.solver.top_up == "frontier" else buffers.sample
    drawn = draw(kind, quota.tasks, derive_seed(config.seed, plan.step, kind, "top_up"), plan.hardest)
    tasks += _without(drawn, tasks)[: quota.tasks - len(tasks)]
    if not tasks and plan.hardest < inf:
        raise ConfigError(
            f"curriculum.ramp_start must let through a task of every kind, got {config.curriculum.ramp_start:g}, and no "
            f"{kind} task is within step {plan.step}'s bound of {plan.hardest:g}; raise it"
        )
    return Chosen(tasks=tuple(tasks), mined=frozenset(task.task_id for task in mined))


def _mined(config: RunConfig, plan: StepPlan, buffers: Buffers, kind: Kind, new: Sequence[Task]) -> list[Task]:
    quota = plan.quotas[kind]
    room = min(quota.failed, quota.tasks - len(new))
    if not room:
        return []
    seed = derive_seed(config.seed, plan.step, kind, "mined")
    return _without(buffers.failed(kind, quota.tasks, seed, config.curriculum.mined_rate, plan.hardest), new)[:room]


def _rehearsed(config: RunConfig, plan: StepPlan, buffers: Buffers, kind: Kind, chosen: Sequence[Task]) -> list[Task]:
    """A task's rate is as old as its last attempt: the frontier would never learn that what was solved is not any more."""
    quota = plan.quotas[kind]
    room = round(config.solver.rehearsal * (quota.tasks - len(chosen)))
    if not room:
        return []
    return _without(
        buffers.sample(kind, quota.tasks, derive_seed(config.seed, plan.step, kind, "rehearsal"), plan.hardest), chosen
    )[:room]


def _without(tasks: Sequence[Task], others: Sequence[Task]) -> list[Task]:
    taken = {task.fingerprint for task in others}
    return [task for task in tasks if task.fingerprint not in taken]


def attempt_requests(config: RunConfig, family: Family, tasks: Sequence[Task], step: int) -> list[Request]:
    """All attempts at all tasks, task by task. Seeds derive from (step, task, attempt)."""
    section = config.solver
    return [
        Request(
            task_id=task.task_id,
            attempt=attempt,
            step=step,
            kind=task.kind,
            role=Role.SOLVE,
            prompt=prompt,
            seed=derive_seed(config.seed, step, task.fingerprint, attempt),
            temperature=section.temperature,
            max_tokens=section.max_tokens,
        )
        for task, prompt in ((task, family.solve_prompt(task)) for task in tasks)
        for attempt in range(_num_attempts(section))
    ]


def grade(
    verifier: Verifier, section: SolverSection, tasks: Sequence[Task], requests: Sequence[Request], rollouts: Sequence[Rollout]
) -> list[Solved]:
    """Verdicts on all attempts, put together by task (same order as `tasks`)."""
    per_task = _num_attempts(section)
    owners = [task for task in tasks for _ in range(per_task)]
    answers = [
        Answer(attempt_id=rollout.attempt_id, task=task, text=rollout.text)
        for task, rollout in zip(owners, rollouts, strict=True)
    ]
    verdicts = verdicts_on(verifier, answers)
    attempts = [judged_attempt(section, rollout, verdict) for rollout, verdict in zip(rollouts, verdicts, strict=True)]
    return [
        Solved(
            task=task,
            prompt=requests[index * per_task].prompt,
            attempts=tuple(attempts[index * per_task : (index + 1) * per_task]),
        )
        for index, task in enumerate(tasks)
    ]


def verdicts_on(verifier: Verifier, answers: Sequence[Answer]) -> list[Verdict]:
    """The verifier's word on each, in order. Verifying is pure: of equal answers to a task, which most are once it is learned,
    it sees one."""
    distinct: dict[tuple[Task, str], Answer] = {}
    for answer in answers:
        distinct.setdefault((answer.task, answer.text), answer)
    verdicts = dict(zip(distinct, verifier.grade(list(distinct.values())), strict=True))
    return [replace(verdicts[answer.task, answer.text], attempt_id=answer.attempt_id) for answer in answers]


def _num_attempts(section: SolverSection) -> int:
    return section.attempts + (0 if section.reuse_attempts else 1)


def judged_attempt(section: SolverSection, rollout: Rollout, verdict: Verdict) -> Attempt:
    """A completion cut by length is never judged as if it were whole."""
    if rollout.truncated:
        verdict = replace(verdict, status=VerdictStatus.ILL_FORMED, reason="truncated")
    measures = rollout.attempt < section.attempts
    trains = section.reuse_attempts or not measures
    masked = rollout.truncated and section.truncated == "mask"
    return Attempt(rollout=rollout, verdict=verdict, measures=measures, trainable=trains and not masked)
