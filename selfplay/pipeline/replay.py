"""Replay: the updates of an event log once more, in the recorded order, with the weights compared after each.

    recorded batch ──judge──▶ rewards, advantages ──learner──▶ weights ──fingerprint──▶ the recorded one?

Nothing is sampled or verified anew. The learner must start from the weights at which the log is taken up; on CPU the
fingerprints must then be equal to the bit. It stops at nothing: the caller decides what a difference means.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from configs.errors import UserError
from configs.schema import RunConfig
from learner.advantages import make_estimator
from selfplay.judge import judge
from selfplay.pipeline.events import TRAINED, EventLog
from selfplay.protocols import Learner
from selfplay.rewards import RewardTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One update (or the weights that they begin with) as recorded and as it came out now."""

    step: int
    recorded: str
    replayed: str
    rewards_agree: bool = True

    @property
    def agrees(self) -> bool:
        return self.rewards_agree and self.recorded == self.replayed


def replay(
    config: RunConfig, learner: Learner, log: EventLog, *, after: int, baselines: Mapping[str, float]
) -> Iterator[Replayed]:
    """From the learner's state after step `after` to the end of the log; first the weights of that state themselves."""
    events = log.events()
    start = next((event for event in events if event.step == after), None)
    if start is None:
        known = f"steps {events[0].step} to {events[-1].step}" if events else "no step"
        raise UserError(f"the event log holds {known}, not step {after}; only runs with pipeline.staleness above 0 keep one")
    yield Replayed(step=after, recorded=start.fingerprint, replayed=learner.publish(after).manifest.fingerprint)
    table, estimator = RewardTable.from_section(config.reward), make_estimator(config.learner.advantage)
    estimator.restore(baselines)
    for event in events:
        if event.event != TRAINED or event.step <= after:
            continue
        inputs = log.inputs(event)
        judged = judge(inputs.proposed, inputs.solved, table, estimator, inputs.shaping)
        learner.update(judged.batch, inputs.lr)
        yield Replayed(
            step=event.step,
            recorded=event.fingerprint,
            replayed=learner.publish(event.step).manifest.fingerprint,
            rewards_agree=tuple(item.reward for item in (*judged.proposals, *judged.attempts)) == event.rewards,
        )
