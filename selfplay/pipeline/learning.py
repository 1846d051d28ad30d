"""What the learning stage does with one complete batch: judge, update, publish, store, log.

Judging is that of the synchronous loop, over the whole batch, whatever versions made its rollouts. Invariant: what is
trained on is at most `staleness` versions behind; every rollout of the batch ends as trained or as dropped for a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from buffers.census import Census
from configs.schema import RunConfig
from learner.advantages import Estimator
from learner.weights import Publication
from selfplay.accounts import Accounts
from selfplay.judge import Judged, judge
from selfplay.pipeline.batch import OpenBatch
from selfplay.pipeline.credits import Credits
from selfplay.pipeline.events import EventLog, Inputs
from selfplay.pipeline.protocols import StreamingParts
from selfplay.pipeline.waiting import Calls
from selfplay.propose import Proposed
from selfplay.protocols import Buffers
from selfplay.rewards import RewardTable
from selfplay.schedule import learning_rate, progress
from selfplay.shaping import measure
from selfplay.solve import Solved
from selfplay.step_plan import StepPlan
from tasks.family import Family
from tasks.records import Kind, Rollout, Task
from telemetry.stopwatch import Stopwatch

TOO_STALE, UNMEASURED = "too_stale", "unmeasured"  # why rollouts are dropped here; the judge has further reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One batch after its update, for who keeps the records."""

    step: int
    plan: StepPlan
    mined: frozenset[str]
    proposed: list[Proposed]
    solved: list[Solved]
    fresh: list[Task]
    census: Mapping[Kind, Census]
    judged: Judged
    sizes: Mapping[Kind, int]
    learner_scalars: dict[str, float]
    num_tokens: int


class Learning:
    """Trains on batches in order; all that it remembers is the estimator's baselines and the stopwatch of its stage."""

    def __init__(
        self,
        config: RunConfig,
        family: Family,
        parts: StreamingParts,
        call: Calls,
        events: EventLog,
        accounts: Accounts,
        estimator: Estimator,
    ) -> None:
        self._config, self._family, self._parts = config, family, parts
        self._call, self._events, self._accounts, self._estimator = call, events, accounts, estimator
        self._table = RewardTable.from_section(config.reward)

    async def train(self, batch: OpenBatch, credits: Credits, tokens: int, watch: Stopwatch) -> Trained:
        """`tokens`: generated for the steps before; returns when the new version is offered to the generators."""
        parts, step = self._parts, batch.number
        with watch.stage("judge"):
            proposed, solved = self._ripe(batch, credits)
            shaping = measure(self._table, self._family, proposed, solved, batch.census)
            judged = judge(proposed, solved, self._table, self._estimator, shaping)
        lr = learning_rate(self._config.learner, step, progress(self._config.run, step, tokens))
        with watch.stage("update"):
            scalars = await self._call("learn", "learner", parts.learner.update, judged.batch, lr)
            self._accounts.learned(judged)
        with watch.stage("publish"):
            publication: Publication = await self._call("learn", "learner", parts.learner.publish, step)
            parts.generator.load(publication)
        with watch.stage("buffer"):
            sizes = await self._call("learn", "buffers", _store, parts.buffers, batch.fresh, solved)
        with watch.stage("events"):
            inputs = Inputs(step=step, lr=lr, proposed=tuple(proposed), solved=tuple(solved), shaping=shaping)
            await self._call("learn", "events", self._events.append, inputs, judged, publication.manifest.fingerprint)
        credits.train(len(judged.batch))
        for reason, num_dropped in judged.dropped.items():
            credits.drop(reason, num_dropped)
        return Trained(
            step=step, plan=batch.plan, mined=batch.mined, proposed=proposed, solved=solved, fresh=batch.fresh,
            census=batch.census, judged=judged, sizes=sizes, learner_scalars=scalars, num_tokens=_num_tokens(batch),
        )  # fmt: skip

    def _ripe(self, batch: OpenBatch, credits: Credits) -> tuple[list[Proposed], list[Solved]]:
        """What may be trained on: nothing too stale, no task whose solve rate nobody has measured."""

        def drop(rollouts: Sequence[Rollout], reason: str) -> None:
            credits.drop(reason, len(rollouts))
            self._accounts.dropped([rollout.attempt_id for rollout in rollouts], reason)

        def is_stale(rollout: Rollout) -> bool:
            return rollout.policy_version < credits.oldest(batch.number)

        drop([item.rollout for item in batch.proposed() if is_stale(item.rollout)], TOO_STALE)
        solved: list[Solved] = []
        for item in batch.solved():
            drop([attempt.rollout for attempt in item.attempts if is_stale(attempt.rollout)], TOO_STALE)
            attempts = tuple(attempt for attempt in item.attempts if not is_stale(attempt.rollout))
            if any(attempt.measures for attempt in attempts):
                solved.append(replace(item, attempts=attempts))
            else:
                drop([attempt.rollout for attempt in attempts], UNMEASURED)
        return [item for item in batch.proposed() if not is_stale(item.rollout)], solved


def _store(buffers: Buffers, fresh: Sequence[Task], solved: Sequence[Solved]) -> Mapping[Kind, int]:
    """New tasks enter the buffers with the solve rate just measured; known ones get theirs renewed."""
    rates = {item.task.fingerprint: item.solve_rate for item in solved}
    added = buffers.add(fresh, [rates.get(task.fingerprint) for task in fresh])
    new = {task.fingerprint for task, is_new in zip(fresh, added, strict=True) if is_new}
    buffers.record({fingerprint: rate for fingerprint, rate in rates.items() if fingerprint not in new})
    return buffers.sizes()


def _num_tokens(batch: OpenBatch) -> int:
    rollouts = [item.rollout for item in batch.proposed()]
    rollouts += [attempt.rollout for item in batch.solved() for attempt in item.attempts]
    return sum(len(rollout.completion_ids) for rollout in rollouts)
