"""What a step says of itself: scalars and table rows, made from its stages' results. Pure; emits nothing."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

from buffers.census import Census, family_traits
from selfplay.accounts import SEEDED
from selfplay.curriculum import curriculum_scalars
from selfplay.diversity import SeedCounts, diversity_scalars
from selfplay.judge import Judged
from selfplay.propose import DUPLICATE, KNOWN, Proposed
from selfplay.rewards import learnability
from selfplay.solve import Solved
from tasks.family import Family
from tasks.records import HELDOUT, Kind, Role, Task, Trajectory
from telemetry.records import AttemptRow, ProposalRow, TaskRow


def step_scalars(
    kinds: Sequence[Kind], proposed: Sequence[Proposed], solved: Sequence[Solved], judged: Judged, sizes: Mapping[Kind, int]
) -> dict[str, float]:
    """Everything of DESIGN section 11 that does not come from the learner or the clock."""
    scalars = dict(judged.zero_std)
    for kind in kinds:
        scalars |= _proposal_scalars(kind, [item for item in proposed if item.rollout.kind is kind])
        scalars |= _solve_scalars(kind, [item for item in solved if item.task.kind is kind])
        scalars[f"buffer/{kind}"] = sizes[kind]
    for role, trajectories in ((Role.PROPOSE, judged.proposals), (Role.SOLVE, judged.attempts)):
        for kind in kinds:
            scalars |= _reward_scalars(kind, role, [item for item in trajectories if item.rollout.kind is kind])
    return scalars | _extra_scalars(judged) | _counts(proposed, solved, judged)


def task_scalars(
    family: Family,
    kinds: Sequence[Kind],
    fresh: Sequence[Task],
    solved: Sequence[Solved],
    census: Mapping[Kind, Census],
    seeds: SeedCounts,
) -> dict[str, float]:
    """How varied, how hard and how learnable the step's new tasks are; `census` is from before they entered the buffers."""
    scalars = curriculum_scalars(kinds, fresh, {item.task.task_id: item.solve_rate for item in solved}, census)
    traits = family_traits(family)
    for kind in kinds:
        scalars |= diversity_scalars(kind, [task for task in fresh if task.kind is kind], traits, census[kind], seeds)
    return scalars


def _proposal_scalars(kind: Kind, items: Sequence[Proposed]) -> dict[str, float]:
    if not items:
        return {}
    reasons = Counter(item.admission.reason for item in items if item.admission.task is None)
    scalars: dict[str, float] = {f"refusal/{kind}/{reason}": count for reason, count in reasons.items()}
    free = [item for item in items if item.admission.reason != HELDOUT]  # the others are no fault of the proposer's
    if free:
        scalars[f"valid/{kind}"] = fmean(item.admission.task is not None for item in free)
    repeats = sum(item.admission.reason in (DUPLICATE, KNOWN) for item in items)
    scalars[f"duplicate/{kind}"] = repeats / len(items)
    tasks = [item.admission.task for item in items if item.admission.task is not None]
    readable = len(tasks) + reasons[DUPLICATE]
    if readable:  # against the whole buffer, with what came earlier in the step
        scalars[f"diversity/{kind}/duplicate"] = repeats / readable
    if tasks:
        scalars[f"difficulty/{kind}"] = fmean(task.difficulty for task in tasks)
        scalars[f"distinct_programs/{kind}"] = len({task.program for task in tasks}) / len(tasks)
    return scalars


def _solve_scalars(kind: Kind, items: Sequence[Solved]) -> dict[str, float]:
    """Learnability is the paper's 1 − s whatever shape is paid, so that runs can be compared."""
    if not items:
        return {}
    rates = [item.solve_rate for item in items]
    return {
        f"solve_rate/{kind}": fmean(rates),
        f"learnability/{kind}": fmean(map(learnability, rates)),
        f"solve_rate/{kind}/never": fmean(rate == 0 for rate in rates),
        f"solve_rate/{kind}/always": fmean(rate == 1 for rate in rates),
    }


def _reward_scalars(kind: Kind, role: Role, items: Sequence[Trajectory]) -> dict[str, float]:
    if not items:
        return {}
    scalars = {
        f"truncated/{kind}/{role}": fmean(item.rollout.truncated for item in items),
        f"length/{kind}/{role}": fmean(len(item.rollout.completion_ids) for item in items),
    }
    rewards = [item.reward for item in items if item.trainable]
    if rewards:
        scalars[f"reward/{kind}/{role}"] = fmean(rewards)
    if rewards and role is Role.PROPOSE:  # penalties can make the mean negative where learning goes well
        scalars[f"paid/{kind}"] = fmean(reward > 0 for reward in rewards)
    return scalars


def _extra_scalars(judged: Judged) -> dict[str, float]:
    """The mean of each optional part of the rewards, which is contained in `reward/{kind}/{role}`."""
    names = {Role.PROPOSE: ("novelty", judged.proposals), Role.SOLVE: ("partial", judged.attempts)}
    parts: dict[str, list[float]] = {}
    for role, extras in judged.extras.items():
        part, trajectories = names[role]
        for item, extra in zip(trajectories, extras, strict=True):
            if item.trainable:
                parts.setdefault(f"reward_part/{item.rollout.kind}/{part}", []).append(extra)
    return {name: fmean(values) for name, values in parts.items()}


def _counts(proposed: Sequence[Proposed], solved: Sequence[Solved], judged: Judged) -> dict[str, float]:
    """Every proposal and every attempt is trained on or dropped for a reason: trained + dropped = proposed + attempted."""
    return {
        "counts/proposed": len(proposed),
        "counts/admitted": sum(item.admission.task is not None for item in proposed),
        "counts/attempted": sum(len(item.attempts) for item in solved),
        "counts/trained": len(judged.batch),
        "counts/dropped": sum(judged.dropped.values()),
        **{f"counts/dropped/{reason}": count for reason, count in judged.dropped.items()},
    }


def proposal_rows(proposed: Sequence[Proposed], solved: Sequence[Solved], judged: Judged | None) -> tuple[ProposalRow, ...]:
    """`judged`: None in the seeding phase, which rewards nothing."""
    trajectories = judged.proposals if judged else None
    rates = {item.task.task_id: item.solve_rate for item in solved}
    return tuple(
        ProposalRow(
            step=item.rollout.step,
            version=item.rollout.policy_version,
            kind=item.rollout.kind.value,
            role=item.rollout.role.value,
            proposal_id=item.admission.proposal_id,
            references=" ".join(item.references),
            prompt=item.prompt,
            text=item.rollout.text,
            status=item.admission.status.value,
            reason=item.admission.reason,
            solve_rate=rates.get(item.admission.proposal_id),
            reward=trajectories[index].reward if trajectories and trajectories[index].trainable else None,
            advantage=trajectories[index].advantage if trajectories and trajectories[index].trainable else None,
            dropped=judged.fates[index] if judged else SEEDED,
        )
        for index, item in enumerate(proposed)
    )


def attempt_rows(solved: Sequence[Solved], judged: Judged) -> tuple[AttemptRow, ...]:
    attempts = [(item, attempt) for item in solved for attempt in item.attempts]
    fates = judged.fates[len(judged.proposals) :]
    return tuple(
        AttemptRow(
            step=attempt.rollout.step,
            version=attempt.rollout.policy_version,
            kind=attempt.rollout.kind.value,
            role=attempt.rollout.role.value,
            attempt_id=attempt.rollout.attempt_id,
            task_id=item.task.task_id,
            prompt=item.prompt,
            text=attempt.rollout.text,
            status=attempt.verdict.status.value,
            reason=attempt.verdict.reason,
            reward=trajectory.reward,
            advantage=trajectory.advantage,
            num_tokens=len(attempt.rollout.completion_ids),
            truncated=attempt.rollout.truncated,
            mean_logprob=fmean(attempt.rollout.logprobs) if attempt.rollout.logprobs else 0.0,
            trained=trajectory.trainable,
            dropped=fate,
        )
        for (item, attempt), trajectory, fate in zip(attempts, judged.attempts, fates, strict=True)
    )


def task_rows(solved: Sequence[Solved], step: int, version: int) -> tuple[TaskRow, ...]:
    return tuple(
        TaskRow(
            step=step,
            version=version,
            kind=item.task.kind.value,
            role=Role.SOLVE.value,
            task_id=item.task.task_id,
            program=item.task.program,
            pairs=_pairs(item.task),
            origin=item.task.origin.value,
            difficulty=item.task.difficulty,
            solve_rate=item.solve_rate,
            learnability=learnability(item.solve_rate),
            fingerprint=item.task.fingerprint,
        )
        for item in solved
    )


def _pairs(task: Task) -> str:
    return json.dumps([[pair.input, pair.output] for pair in task.pairs])
