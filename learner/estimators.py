"""The estimators that need no memory: who is compared with whom, and on what scale. Pure numpy, per sample, never per token.

Owns one small function each in one dict. Invariant: an estimator sees a whole batch and returns one advantage per sample,
in order; a group whose rewards are all equal gets advantage 0, not rounding divided by ε. σ is the population's.
Does not: choose an estimator (learner.advantages), compute rewards (selfplay), spread advantages over tokens.

Per-task estimators (grpo, dr_grpo, rloo, solver_grpo) compare the attempts at one task. A proposal has no siblings, so
proposer samples are compared under TRR++ with their (kind, role) group instead.
Shape letters: N samples.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.records import Kind, Role

FloatArray = npt.NDArray[np.float64]
EPSILON = 1e-6
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
    """(r − μ) / (σ + ε)."""
    return centre(rewards_N) / (float(rewards_N.std()) + EPSILON)


def centre(rewards_N: FloatArray) -> FloatArray:
    """r − μ; exact zeros where all are equal, which the rounding of μ would not give."""
    centred: FloatArray = rewards_N - rewards_N.mean()
    return np.zeros_like(centred) if rewards_N.std() < ZERO_STD else centred


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
    keys = list(zip(samples.task_ids, samples.roles, strict=True))
    return np.where(_is_attempt(samples), _per_group(samples, keys, scale), trrpp(samples))


def _is_attempt(samples: Samples) -> npt.NDArray[np.bool_]:
    return np.array([role is Role.SOLVE for role in samples.roles], bool)


def _kind_and_role(samples: Samples) -> list[tuple[Kind, Role]]:
    return list(zip(samples.kinds, samples.roles, strict=True))


def trrpp(samples: Samples) -> FloatArray:
    """Task-relative REINFORCE++ (Absolute Zero, arXiv 2505.03335 eq. 8): A = (r − μ_{kind,role}) / (σ_{kind,role} + ε).

    Six groups; batch statistics, one vote per sample.
    """
    return _per_group(samples, _kind_and_role(samples), whiten)


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


def solver_grpo(samples: Samples) -> FloatArray:
    """TRR++ with each task's own baseline for its attempts: A = (r − μ_task) / (σ_{kind,role} + ε).

    GRPO's baseline without its scale, by which the one right attempt in eight counts as much as all the others together
    (group mean and batch σ: arXiv 2508.08221). Unlike dr_grpo, attempts and proposals are on one scale.
    """
    std_N = _per_group(samples, _kind_and_role(samples), lambda rewards_N: np.full_like(rewards_N, rewards_N.std()))
    return np.where(_is_attempt(samples), _per_task(samples, centre) / (std_N + EPSILON), trrpp(samples))


STATELESS: dict[str, Callable[[Samples], FloatArray]] = {
    "trrpp": trrpp,
    "reinforce_pp": reinforce_pp,
    "role_baseline": role_baseline,
    "grpo": grpo,
    "dr_grpo": dr_grpo,
    "rloo": rloo,
    "solver_grpo": solver_grpo,
}
