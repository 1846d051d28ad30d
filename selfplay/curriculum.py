"""How hard a step's new tasks are and how well they fit the solver: quantiles of difficulty, bins of solve rates. Pure.

Counts only tasks that are new in the step, whoever proposed them; `solve_rate/…` covers what was drawn from the buffer as
well. Does not: reward anything.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from buffers.census import Census
from selfplay.rewards import learnability
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


def _quantile_scalars(prefix: str, counts: Mapping[float, int]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in quantiles(counts).items()}
