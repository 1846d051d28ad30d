"""From rewards to advantages: who is compared with whom, and on what scale. Pure numpy, per sample (never per token).

Owns the estimators, one small function each in one dict. Invariant: an estimator sees a whole batch and returns one
advantage per sample, in order; a group whose rewards are all equal gets advantage 0, not noise divided by ε.
Does not: compute rewards (selfplay), spread advantages over tokens (learner.packing).

Per-task estimators (grpo, dr_grpo, rloo) compare the attempts at one task. A proposal has no siblings, so proposer
samples are compared under TRR++ with their (kind, role) group instead.
Shape letters: N samples.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tasks.records import Kind, Role

FloatArray = npt.NDArray[np.float64]
EPSILON = 1e-6
EMA_DECAY = 0.95
# Below this a spread of rewards is rounding: rewards are small multiples of fractions of attempts.
ZERO_STD = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What an estimator sees: rewards_N and the names each sample goes by."""

    rewards_N: FloatArray
    kinds: Sequence[Kind]
    roles: Sequence[Role]
    task_ids: Sequence[str]


def groups(keys: Sequence[Hashable]) -> list[npt.NDArray[np.int64]]:
    """The indices that carry equal keys, in order of first appearance."""
    members: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        members.setdefault(key, []).append(index)
    return [np.array(indices) for indices in members.values()]


def whiten(rewards_N: FloatArray) -> FloatArray:
    """(r − μ) / (σ + ε) with the population σ; zeros where σ is zero."""
    centred = centre(rewards_N)
    std = float(centred.std())
    return np.zeros_like(centred) if std < ZERO_STD else centred / (std + EPSILON)


def centre(rewards_N: FloatArray) -> FloatArray:
    """r − μ."""
    centred: FloatArray = rewards_N - rewards_N.mean()
    return centred


def leave_one_out(rewards_N: FloatArray) -> FloatArray:
    """r_i − mean of the others = (r_i − μ)·n/(n − 1); a sample without others gets 0."""
    num = len(rewards_N)
    return np.zeros_like(rewards_N) if num < 2 else centre(rewards_N) * (num / (num - 1))


def _per_group(samples: Samples, keys: Sequence[Hashable], scale: Callable[[FloatArray], FloatArray]) -> FloatArray:
    advantages = np.zeros_like(samples.rewards_N)
    for members in groups(keys):
        advantages[members] = scale(samples.rewards_N[members])
    return advantages


def _per_task(samples: Samples, scale: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """`scale` over the attempts at each task; TRR++ for proposals."""
    advantages = trrpp(samples)
    attempts = np.array([role is Role.SOLVE for role in samples.roles], bool)
    keys = [(task, role) for task, role in zip(samples.task_ids, samples.roles, strict=True)]
    return np.where(attempts, _per_group(samples, keys, scale), advantages)


def trrpp(samples: Samples) -> FloatArray:
    """Task-relative REINFORCE++ (Absolute Zero, arXiv 2505.03335 eq. 8): A = (r − μ_{kind,role}) / (σ_{kind,role} + ε).

    Six groups; batch statistics, one vote per sample.
    """
    return _per_group(samples, list(zip(samples.kinds, samples.roles, strict=True)), whiten)


def reinforce_pp(samples: Samples) -> FloatArray:
    """REINFORCE++ with one global baseline (arXiv 2501.03262): A = (r − μ) / (σ + ε) over the whole batch."""
    return _per_group(samples, [0] * len(samples.rewards_N), whiten)


def role_baseline(samples: Samples) -> FloatArray:
    """Two baselines, one per role (the ablation between 1 and 6 groups; compare RAE, arXiv 2506.24119)."""
    return _per_group(samples, list(samples.roles), whiten)


def grpo(samples: Samples) -> FloatArray:
    """Group-relative (arXiv 2402.03300): A = (r − μ_task) / (σ_task + ε) over the attempts at one task."""
    return _per_task(samples, whiten)


def dr_grpo(samples: Samples) -> FloatArray:
    """GRPO done right (arXiv 2503.20783): A = r − μ_task, not divided by σ, so that easy and hard tasks are not blown up."""
    return _per_task(samples, centre)


def rloo(samples: Samples) -> FloatArray:
    """REINFORCE leave-one-out (arXiv 2402.14740 eq. 7): A_i = r_i − mean_{j≠i} r_j over the attempts at one task."""
    return _per_task(samples, leave_one_out)


STATELESS: dict[str, Callable[[Samples], FloatArray]] = {
    "trrpp": trrpp,
    "reinforce_pp": reinforce_pp,
    "role_baseline": role_baseline,
    "grpo": grpo,
    "dr_grpo": dr_grpo,
    "rloo": rloo,
}


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
        if name != "trrpp_ema" and name not in STATELESS:
            raise ValueError(f"advantage must be one of {sorted([*STATELESS, 'trrpp_ema'])}, got {name!r}")
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
