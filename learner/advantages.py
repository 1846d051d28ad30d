"""From rewards to advantages: the estimator of a run, by name, with the state that its checkpoints carry.

Owns the running baselines (`trrpp_ema`), the check of what goes in, and the early warning on tasks without a signal. The
memoryless estimators are in `learner.estimators`. Does not: compute rewards (selfplay), spread advantages over tokens
(learner.packing).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from learner.estimators import EPSILON, STATELESS, ZERO_STD, FloatArray, Samples, groups
from tasks.records import Kind, Role

EMA = "trrpp_ema"
EMA_DECAY = 0.95


@dataclass(slots=True)
class RunningBaselines:
    """`trrpp_ema`: TRR++ whose μ and E[r²] of each (kind, role) are running means, less noisy than small batches.

    m ← γ·m + (1 − γ)·batch mean, debiased by 1 − γ^t as Adam does; the first batch is therefore its own baseline.
    A batch is compared with baselines that contain it. State is flat and goes into the checkpoint.
    """

    sums: dict[str, float] = field(default_factory=dict)

    def __call__(self, samples: Samples) -> FloatArray:
        advantages = np.zeros_like(samples.rewards_N)
        keys = [f"{kind}/{role}" for kind, role in zip(samples.kinds, samples.roles, strict=True)]
        for members in groups(keys):
            rewards = samples.rewards_N[members]
            mean, variance = self._update(keys[members[0]], rewards)
            std = float(np.sqrt(max(variance, 0.0)))
            if std >= np.sqrt(ZERO_STD):  # E[r²] − μ² cancels to about the root of the rounding
                advantages[members] = (rewards - mean) / (std + EPSILON)
        return advantages

    def _update(self, key: str, rewards: FloatArray) -> tuple[float, float]:
        for name, value in (("weight", 1.0), ("mean", float(rewards.mean())), ("square", float((rewards**2).mean()))):
            entry = f"{key}/{name}"
            self.sums[entry] = EMA_DECAY * self.sums.get(entry, 0.0) + (1 - EMA_DECAY) * value
        weight = self.sums[f"{key}/weight"]
        mean = self.sums[f"{key}/mean"] / weight
        return mean, self.sums[f"{key}/square"] / weight - mean**2


class Estimator:
    """An advantage estimator by name, with the state that a checkpoint must carry (only `trrpp_ema` has any)."""

    def __init__(self, name: str) -> None:
        if name != EMA and name not in STATELESS:
            raise ValueError(f"advantage must be one of {sorted([*STATELESS, EMA])}, got {name!r}")
        self.name = name
        self._baselines = RunningBaselines()

    def __call__(
        self, rewards: npt.ArrayLike, kinds: Sequence[Kind], roles: Sequence[Role], task_ids: Sequence[str]
    ) -> FloatArray:
        """advantages_N (float64) for rewards_N; all four arguments have one entry per sample."""
        samples = Samples(rewards_N=np.asarray(rewards, np.float64), kinds=kinds, roles=roles, task_ids=task_ids)
        lengths = {len(samples.rewards_N), len(kinds), len(roles), len(task_ids)}
        assert len(lengths) == 1, f"rewards, kinds, roles and task_ids differ in length: {sorted(lengths)}"
        if not np.isfinite(samples.rewards_N).all():
            raise ValueError("rewards must be finite, got nan or infinity; mend the reward that made it")
        return STATELESS[self.name](samples) if self.name in STATELESS else self._baselines(samples)

    def state(self) -> dict[str, float]:
        return dict(self._baselines.sums)

    def restore(self, state: Mapping[str, float]) -> None:
        self._baselines = RunningBaselines({name: float(value) for name, value in state.items()})


def make_estimator(name: str) -> Estimator:
    """The estimator of `learner.advantage`."""
    return Estimator(name)


def zero_std_share(
    rewards: npt.ArrayLike, kinds: Sequence[Kind], roles: Sequence[Role], task_ids: Sequence[str]
) -> dict[str, float]:
    """Share of tasks whose attempts all got the same reward: the early warning that nothing is left to learn from.

    Keys `zero_std/{kind}` for the kinds that have attempts, and `zero_std` over all of them (absent without attempts).
    """
    rewards_N = np.asarray(rewards, np.float64)
    attempts = [index for index, role in enumerate(roles) if role is Role.SOLVE]
    flat: dict[str, list[bool]] = {}
    for members in groups([task_ids[index] for index in attempts]):
        indices = [attempts[member] for member in members]
        same = bool(np.ptp(rewards_N[indices]) < ZERO_STD)
        flat.setdefault(f"zero_std/{kinds[indices[0]]}", []).append(same)
        flat.setdefault("zero_std", []).append(same)
    return {name: float(np.mean(values)) for name, values in flat.items()}
