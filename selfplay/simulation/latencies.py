"""What the parts of a run take, for the model of it: samples to draw from, measured, given or assumed.

Seconds, except where a name says otherwise. A single sample is a constant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from selfplay.simulation.engine import Speed
from tasks.records import Kind, Role

Samples = tuple[float, ...]
NOTHING: Samples = (0.0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Per role: tokens of a completion by kind. Per kind: the share of its proposals that is admitted.

    verify_s, grade_s: the verifier's, for one proposal and one attempt; references_s: opening a batch; the others are the
    learner's for one batch, in this order: judge, update, publish, store (buffers, event log), tell (metrics, telemetry).
    """

    speed: Speed
    tokens: Mapping[tuple[Kind, Role], Samples]
    admitted: Mapping[Kind, float]
    update_s: Samples
    publish_s: Samples = NOTHING
    judge_s: Samples = NOTHING
    store_s: Samples = NOTHING
    tell_s: Samples = NOTHING
    references_s: Samples = NOTHING
    verify_s: Samples = NOTHING
    grade_s: Samples = NOTHING

    def scaled(self, rollouts: float, ranks: float) -> "Latencies":
        """For a step of so many times the rollouts, and a learner of so many times the ranks."""

        def times(samples: Samples, factor: float) -> Samples:
            return tuple(seconds * factor for seconds in samples)

        return replace(
            self,
            update_s=times(self.update_s, rollouts / ranks),
            judge_s=times(self.judge_s, rollouts),
            store_s=times(self.store_s, rollouts),
            tell_s=times(self.tell_s, rollouts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a step asks of one kind. `num_tasks`: solved; `num_fresh`: of them, at most so many of its own proposals."""

    num_proposals: int
    num_fresh: int
    num_tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """A run as its scheduler sees it."""

    work: Mapping[Kind, Work]
    attempts: int  # per task
    staleness: int
    generators: int
    in_flight: int  # requests that one generator holds at once

    @property
    def rollouts(self) -> int:
        """Of a step."""
        return sum(work.num_proposals + work.num_tasks * self.attempts for work in self.work.values())
