"""The judging stage: rewards for both roles, advantages over the whole batch, trajectories for the learner.

Pure but for the estimator's running baselines (`trrpp_ema`). A sample that may carry no gradient (an unused attempt, a
masked or a surplus one) takes no part in the statistics either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from learner.advantages import Estimator, zero_std_share
from learner.levels import levels
from selfplay.propose import DEFERRED, DUPLICATE, Proposed
from selfplay.rewards import RewardTable
from selfplay.shaping import UNSHAPED, Shaping
from selfplay.solve import Attempt, Solved
from tasks.records import Role, Rollout, Trajectory

# Why a trajectory carries no gradient, beside DEFERRED.
SURPLUS, MASKED, MEASURING = DROPPED = ("surplus", "masked", "measuring")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Trajectories in the order proposals, then attempts task by task.

    `fates`: why each of them carries no gradient, in the same order; empty for those that are trained on.
    `extras`: the optional part of each reward (novelty, partial credit), for the roles for which it is switched on.
    """

    proposals: tuple[Trajectory, ...]
    attempts: tuple[Trajectory, ...]
    zero_std: dict[str, float]
    fates: tuple[str, ...]
    extras: Mapping[Role, tuple[float, ...]]

    @property
    def batch(self) -> list[Trajectory]:
        """What the learner trains on."""
        return [item for item in (*self.proposals, *self.attempts) if item.trainable]

    @property
    def dropped(self) -> dict[str, int]:
        """How many carry no gradient, by reason; the usual reasons are always there."""
        return {reason: self.fates.count(reason) for reason in dict.fromkeys((*DROPPED, *filter(None, self.fates)))}


def judge(
    proposed: Sequence[Proposed],
    solved: Sequence[Solved],
    table: RewardTable,
    estimator: Estimator,
    shaping: Shaping = UNSHAPED,
) -> Judged:
    rates = {item.task.task_id: item.solve_rate for item in solved}
    attempts = [attempt for item in solved for attempt in item.attempts]
    surplus = _surplus(proposed, rates)
    extras = _extras(proposed, rates, attempts, table, shaping)
    paid = _plus([_proposer_reward(item, rates, table) for item in proposed], extras.get(Role.PROPOSE))
    earned = _plus([table.solver(attempt.verdict.status) for attempt in attempts], extras.get(Role.SOLVE))
    rollouts = [item.rollout for item in proposed] + [attempt.rollout for attempt in attempts]
    trainable = [item.trainable and not extra and not item.deferred for item, extra in zip(proposed, surplus, strict=True)]
    trainable += [attempt.trainable for attempt in attempts]
    traits = [*(shaping.traits or [""] * len(proposed)), *[""] * len(attempts)]
    trajectories = _with_advantages(rollouts, paid + earned, trainable, estimator, traits, table.level)
    return Judged(
        proposals=tuple(trajectories[: len(proposed)]),
        attempts=tuple(trajectories[len(proposed) :]),
        zero_std=_zero_std(attempts, earned),
        fates=_fates(proposed, attempts, surplus),
        extras=extras,
    )


def _surplus(proposed: Sequence[Proposed], rates: Mapping[str, float]) -> list[bool]:
    """Which proposals came after the step had enough tasks of their kind.

    Their learnability is unknown. Invalid ones among them are left out as well: kept alone, they would be over-weighted.
    """
    flags = [False] * len(proposed)
    for kind in {item.rollout.kind for item in proposed}:
        indices = [index for index, item in enumerate(proposed) if item.rollout.kind is kind]
        admitted = [i for i in indices if proposed[i].admission.task is not None and not proposed[i].deferred]
        attempted = [index for index in admitted if proposed[index].admission.proposal_id in rates]
        if len(attempted) < len(admitted):
            last = max(attempted, default=-1)
            for index in indices:
                flags[index] = index > last
    return flags


def _proposer_reward(item: Proposed, rates: Mapping[str, float], table: RewardTable) -> float:
    admission = item.admission
    return table.proposer(admission.status, rates.get(admission.proposal_id, 0.0), admission.reason == DUPLICATE)


def _extras(
    proposed: Sequence[Proposed],
    rates: Mapping[str, float],
    attempts: Sequence[Attempt],
    table: RewardTable,
    shaping: Shaping,
) -> dict[Role, tuple[float, ...]]:
    extras: dict[Role, tuple[float, ...]] = {}
    if shaping.rarities is not None:
        extras[Role.PROPOSE] = tuple(
            table.novelty_bonus(item.admission.status, rates.get(item.admission.proposal_id, 0.0), rarity)
            for item, rarity in zip(proposed, shaping.rarities, strict=True)
        )
    if shaping.nearness is not None:
        extras[Role.SOLVE] = tuple(
            table.partial_credit(attempt.verdict.status, nearness)
            for attempt, nearness in zip(attempts, shaping.nearness, strict=True)
        )
    return extras


def _plus(rewards: Sequence[float], extras: Sequence[float] | None) -> list[float]:
    return [reward + extra for reward, extra in zip(rewards, extras or [0.0] * len(rewards), strict=True)]


def _with_advantages(
    rollouts: Sequence[Rollout],
    rewards: Sequence[float],
    trainable: Sequence[bool],
    estimator: Estimator,
    traits: Sequence[str],
    level: float,
) -> list[Trajectory]:
    chosen = [index for index, flag in enumerate(trainable) if flag]
    kinds = [rollouts[index].kind for index in chosen]
    own = np.array([rewards[index] for index in chosen])
    values = estimator(
        own - levels(own, kinds, [traits[index] for index in chosen], level),
        kinds,
        [rollouts[index].role for index in chosen],
        [rollouts[index].task_id for index in chosen],
    )
    advantages = dict(zip(chosen, values.tolist(), strict=True))
    return [
        Trajectory(rollout=rollout, reward=rewards[index], advantage=advantages.get(index, 0.0), trainable=trainable[index])
        for index, rollout in enumerate(rollouts)
    ]


def _zero_std(attempts: Sequence[Attempt], rewards: Sequence[float]) -> dict[str, float]:
    """Over the attempts that measure, whether or not they are trained on."""
    measured = [(attempt.rollout, reward) for attempt, reward in zip(attempts, rewards, strict=True) if attempt.measures]
    return zero_std_share(
        [reward for _, reward in measured],
        [rollout.kind for rollout, _ in measured],
        [rollout.role for rollout, _ in measured],
        [rollout.task_id for rollout, _ in measured],
    )


def _fates(proposed: Sequence[Proposed], attempts: Sequence[Attempt], surplus: Sequence[bool]) -> tuple[str, ...]:
    """Of an attempt that only measures, that it does, unless it was cut by length: a masked one would be dropped anyway."""
    fates = [_proposal_fate(item, extra) for item, extra in zip(proposed, surplus, strict=True)]
    fates += ["" if item.trainable else MASKED if item.rollout.truncated else MEASURING for item in attempts]
    return tuple(fates)


def _proposal_fate(item: Proposed, surplus: bool) -> str:
    if surplus:
        return SURPLUS
    return DEFERRED if item.deferred else "" if item.trainable else MASKED
