"""How hard a step's new tasks are, how well they fit the solver, and what the step's plan did to them. Pure.

Quantiles and bins count only tasks that are new in the step, whoever proposed them; `solve_rate/…` covers what was drawn from
the buffer as well. Does not: reward anything, choose anything (selfplay.step_plan).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import inf
from statistics import fmean
from typing import Protocol

from buffers.census import Census
from configs.play_sections import CurriculumSection
from selfplay.propose import Proposed
from selfplay.rewards import learnability
from selfplay.solve import Solved
from selfplay.step_plan import StepPlan
from tasks.records import Kind, Task

QUANTILES = {"p10": 10, "p50": 50, "p90": 90}  # percent
# The upper end of each bin of solve rates, by name: 0; (0, 1/4]; (1/4, 1/2]; (1/2, 3/4]; (3/4, 1); 1.
BINS = {"s0": 0.0, "s25": 0.25, "s50": 0.5, "s75": 0.75, "s99": 1.0}
ALWAYS = "s100"


def quantiles(counts: Mapping[float, int]) -> dict[str, float]:
    """By name, the smallest value that at least this share of the counted values does not exceed; empty without values."""
    values = sorted(counts)
    totals = list(accumulate(counts[value] for value in values))
    if not totals:
        return {}
    wanted = {name: -(-percent * totals[-1] // 100) for name, percent in QUANTILES.items()}  # rounded up
    return {name: next(v for v, total in zip(values, totals, strict=True) if total >= rank) for name, rank in wanted.items()}


def histogram(rates: Iterable[float]) -> dict[str, int]:
    """How many solve rates lie in each bin; all bins are there."""
    found = Counter(ALWAYS if rate == 1.0 else next(name for name, top in BINS.items() if rate <= top) for rate in rates)
    return {name: found[name] for name in (*BINS, ALWAYS)}


def curriculum_scalars(
    kinds: Sequence[Kind], fresh: Sequence[Task], rates: Mapping[str, float], census: Mapping[Kind, Census]
) -> dict[str, float]:
    """`difficulty/{kind}/…` and `learnability/{kind}/…` of the step's new tasks.

    `rates`: the solve rates of those that were attempted, by task id. `census`: the buffers before the tasks came.
    """
    scalars: dict[str, float] = {}
    rewarded: Counter[Kind] = Counter()
    for kind in kinds:
        tasks = [task for task in fresh if task.kind is kind]
        scalars |= _quantile_scalars(f"difficulty/{kind}", Counter(task.difficulty for task in tasks))
        scalars |= _quantile_scalars(f"difficulty/{kind}/buffer", census[kind].difficulties)
        measured = [rates[task.task_id] for task in tasks if task.task_id in rates]
        rewarded[kind] = sum(learnability(rate) > 0 for rate in measured)
        if measured:
            scalars |= {f"learnability/{kind}/{name}": count for name, count in histogram(measured).items()}
    if rewarded.total():
        scalars |= {f"learnability/{kind}/share": rewarded[kind] / rewarded.total() for kind in kinds}
    return scalars


class Steered(Protocol):
    """A step that was played by a plan. `mined`: ids of the tasks drawn because they had failed."""

    @property
    def plan(self) -> StepPlan: ...

    @property
    def mined(self) -> frozenset[str]: ...

    @property
    def proposed(self) -> Sequence[Proposed]: ...

    @property
    def solved(self) -> Sequence[Solved]: ...

    @property
    def census(self) -> Mapping[Kind, Census]: ...


def plan_scalars(section: CurriculumSection, step: Steered) -> dict[str, float]:
    """`curriculum/…`: what each part that is switched on did in this step; empty where none is.

    bound: on difficulty. Of each kind, deferred: proposals beyond it; held_back: share of the buffer beyond it; mined: share
    of the attempted tasks; mined/solved: how often those that had failed are solved now; learnable: what `balance` looks
    at; share: of the step's tasks, because of it.
    """
    plan = step.plan
    scalars = {"curriculum/bound": plan.hardest} if plan.hardest < inf else {}
    for kind in plan.quotas:
        if plan.hardest < inf:
            scalars |= _held_back(kind, step)
        if section.mined_share:
            scalars |= _mined(kind, step)
    total = sum(quota.tasks for quota in plan.quotas.values())
    for kind, share in plan.learnable.items():
        scalars |= {f"curriculum/{kind}/learnable": share, f"curriculum/{kind}/share": plan.quotas[kind].tasks / total}
    return scalars


def _held_back(kind: Kind, step: Steered) -> dict[str, float]:
    held = step.census[kind]
    beyond = sum(count for difficulty, count in held.difficulties.items() if difficulty > step.plan.hardest)
    return {
        f"curriculum/{kind}/deferred": sum(item.deferred for item in step.proposed if item.rollout.kind is kind),
        f"curriculum/{kind}/held_back": beyond / held.size if held.size else 0.0,
    }


def _mined(kind: Kind, step: Steered) -> dict[str, float]:
    solved = [item for item in step.solved if item.task.kind is kind]
    rates = [item.solve_rate for item in solved if item.task.task_id in step.mined]
    scalars = {f"curriculum/{kind}/mined": len(rates) / len(solved)} if solved else {}
    return scalars | ({f"curriculum/{kind}/mined/solved": fmean(rates)} if rates else {})


def _quantile_scalars(prefix: str, counts: Mapping[float, int]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in quantiles(counts).items()}
