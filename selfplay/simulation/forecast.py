"""What the model says of a run: seconds of a step, who is busy, how stale the rollouts are, and which split of GPUs is best.

Shares are of the steps after those in which the pipeline fills. A rank more makes an update shorter, but each doubling of the
ranks reaches only `rank_efficiency` of its half. Says nothing of memory: whether a layout fits is not looked at.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean

from configs.schema import RunConfig
from selfplay.propose import proposes
from selfplay.simulation.latencies import Game, Latencies, Work
from selfplay.simulation.model import Model
from tasks.records import Kind

NUM_STEPS = 20  # counted
MAX_ROLLOUTS = 150_000  # of one forecast: large steps are counted less often
MIN_STEPS = 5
COARSE = 8  # splits that are looked at first
ENOUGH = 1.02  # a step that much longer than the shortest is as good


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One layout. Shares are of the time; `staleness` is of rollouts, by the version of their first token."""

    generators: int
    ranks: int
    step_s: float
    rollouts_per_s: float
    tokens_per_s: float
    generators_busy: float
    generators_paused: float
    learner_busy: float
    learner_waits: float
    staleness: dict[int, float]

    @property
    def mean_staleness(self) -> float:
        return sum(lag * share for lag, share in self.staleness.items())


def game_of(config: RunConfig, generators: int) -> Game:
    """The run as its scheduler sees it, with so many generators."""
    per_task = config.solver.attempts + (0 if config.solver.reuse_attempts else 1)
    oversample = config.proposer.oversample if proposes(config) else 0
    work = {
        Kind(name): Work(
            num_proposals=config.num_fresh(name) * oversample,
            num_fresh=config.num_fresh(name),
            num_tasks=config.num_tasks(name),
        )
        for name in config.family.kinds
    }
    pipeline = config.pipeline
    return Game(work=work, attempts=per_task, staleness=pipeline.staleness, generators=generators, in_flight=pipeline.in_flight)


def forecast(config: RunConfig, latencies: Latencies, generators: int, ranks: int, rank_efficiency: float = 1.0) -> Forecast:
    """`latencies` are with the learner's `world_size` ranks of `config`; seeded by its seed."""
    game = game_of(config, generators)
    skipped = game.staleness + 2
    num_steps = skipped + max(MIN_STEPS, min(NUM_STEPS, MAX_ROLLOUTS // game.rollouts - skipped))
    doublings = math.log2(ranks / config.learner.world_size)
    longer = (2 * rank_efficiency) ** -doublings
    fitted = replace(latencies, update_s=tuple(seconds * longer for seconds in latencies.update_s))
    steps = Model(game, fitted, num_steps, config.seed, config.pipeline.swap).run()
    before, counted = steps[skipped - 1], steps[skipped:]
    seconds = counted[-1].end_s - before.end_s
    lags = Counter(lag for step in counted for lag in step.staleness)
    return Forecast(
        generators=generators,
        ranks=ranks,
        step_s=seconds / len(counted),
        rollouts_per_s=lags.total() / seconds,
        tokens_per_s=(counted[-1].tokens - before.tokens) / seconds,
        generators_busy=(counted[-1].busy_s - before.busy_s) / generators / seconds,
        generators_paused=(counted[-1].pause_s - before.pause_s) / generators / seconds,
        learner_busy=fmean(step.update_s for step in counted) * len(counted) / seconds,
        learner_waits=fmean(step.wait_s for step in counted) * len(counted) / seconds,
        staleness={lag: count / lags.total() for lag, count in sorted(lags.items())},
    )


def splits(gpus: int, of: Callable[[int], Forecast]) -> list[Forecast]:
    """Forecasts over the generators of a split, by number: some of all, then ever closer around the shortest step."""
    last = gpus - 1
    tried: Mapping[int, Forecast] = {
        number: of(number) for number in sorted({round(last ** (i / (COARSE - 1))) for i in range(COARSE)})
    }
    while True:
        numbers = sorted(tried)
        at = numbers.index(shortest(list(tried.values())).generators)
        around = [numbers[max(0, at - 1)], numbers[at], numbers[min(len(numbers) - 1, at + 1)]]
        new = {(low + high) // 2 for low, high in pairwise(around)} - set(numbers)
        if not new:
            return [tried[number] for number in numbers]
        tried = {**tried, **{number: of(number) for number in new}}


def shortest(forecasts: Sequence[Forecast]) -> Forecast:
    return min(forecasts, key=lambda item: item.step_s)


def fewest(forecasts: Sequence[Forecast]) -> Forecast:
    """The fewest GPUs whose step is as good as the shortest."""
    limit_s = shortest(forecasts).step_s * ENOUGH
    return min((item for item in forecasts if item.step_s <= limit_s), key=lambda item: item.generators + item.ranks)
