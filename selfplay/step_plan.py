"""What a step is to be made of: how many tasks of each kind, how many of them new, how many that failed, and how hard.

    bound      curriculum.ramp_start in step 1, rising linearly to ramp_end in step ramp_len; then none, or ramp_end
    failed     at most ⌊mined_share · tasks⌋ of a kind: buffered tasks whose newest solve rate is mined_rate or lower
    balance    tasks(kind) · (1 + balance · (L(kind) − L̄)), L being the share of the kind's newest measured tasks with
               0 < s < 1 and L̄ its mean over a step's tasks: the sum stays, and no kind loses more than that share

Invariant: a pure function of the configuration, the step and what the buffers hold, so that nothing is to be remembered
and a resume repeats it. Off, it is the configuration's own numbers. Does not: draw tasks (selfplay.solve).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from configs.play_sections import CurriculumSection
from configs.schema import RunConfig
from selfplay.protocols import Buffers
from tasks.records import Kind

NEWEST = 256  # tasks of a kind whose solve rates `balance` looks at: those of old tasks are of an older solver


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Tasks of one kind: in all, of those at most so many new ones, and at most so many that failed."""

    tasks: int
    fresh: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """`hardest`: the bound on difficulty. `learnable`: L of each kind, where kinds are balanced."""

    step: int
    quotas: Mapping[Kind, Quota]
    hardest: float = inf
    learnable: Mapping[Kind, float] = field(default_factory=dict)


def plan_step(config: RunConfig, buffers: Buffers, step: int) -> StepPlan:
    """`step` counts from 1."""
    kinds, section = [Kind(name) for name in config.family.kinds], config.curriculum
    own = {kind: config.num_tasks(kind) for kind in kinds}
    learnable = _learnable(buffers) if section.balance else {}
    tasks = balanced(own, learnable, section.balance) if learnable else own
    quotas = {
        kind: Quota(tasks=count, fresh=config.num_fresh_of(count), failed=int(section.mined_share * count))
        for kind, count in tasks.items()
    }
    return StepPlan(step=step, quotas=quotas, hardest=bound(section, step), learnable=learnable)


def bound(section: CurriculumSection, step: int) -> float:
    """The most difficult that a task of this step may be; infinite where there is no bound."""
    if section.ramp_len == 0 or (step > section.ramp_len and section.ramp_lift):
        return inf
    done = min(1.0, (step - 1) / (section.ramp_len - 1)) if section.ramp_len > 1 else 1.0
    return section.ramp_start + (section.ramp_end - section.ramp_start) * done


def balanced(own: Mapping[Kind, int], learnable: Mapping[Kind, float], balance: float) -> dict[Kind, int]:
    """Whole numbers with the sum of `own`, each at least 1, as near to the exact ones as that lets them be."""
    total = sum(own.values())
    mean = sum(own[kind] * learnable[kind] for kind in own) / total
    exact = {kind: own[kind] * (1 + balance * (learnable[kind] - mean)) for kind in own}
    tasks = {kind: max(1, int(share)) for kind, share in exact.items()}
    while rest := total - sum(tasks.values()):
        sign = 1 if rest > 0 else -1
        movable = [kind for kind in own if tasks[kind] + sign >= 1]
        tasks[max(movable, key=lambda kind: sign * (exact[kind] - tasks[kind]))] += sign
    return tasks


def _learnable(buffers: Buffers) -> dict[Kind, float]:
    """One learnable and one other task are added to those counted: a kind that was hardly measured is taken as middling."""
    return {kind: (learnable + 1) / (measured + 2) for kind, (learnable, measured) in buffers.learnable(NEWEST).items()}
