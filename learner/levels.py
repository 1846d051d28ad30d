"""Levels: what proposals of one group earn beyond their kind's mean, to be taken out before advantages. Pure numpy.

    level_g = share · n_g / (n_g + PRIOR) · (mean of r in g − mean of r over all grouped samples of the kind)

Why: with one baseline per kind, a group of tasks that pays a little more than the others (for arithmetic: the operator that
is mistaken most often) may grow at every step, until it is most of what is proposed. Less its level, a proposal is compared
with its like: within a group the better tasks still win, but no group grows by its mere name. A group of few samples keeps
most of its difference, so that what is rare and pays still spreads. A contextual baseline, except that the context (the
group) is of the sample's own making: the gradient between groups is left out on purpose.
Does not: say what a group is (selfplay.shaping), or turn rewards into advantages (learner.advantages).
Shape letters: N samples.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from learner.estimators import FloatArray, groups
from tasks.records import Kind

PRIOR = 4.0  # samples at the kind's own mean that every group is taken to have beside its own


def levels(rewards: npt.ArrayLike, kinds: Sequence[Kind], names: Sequence[str], share: float) -> FloatArray:
    """levels_N (float64), one per sample; 0 for samples of no group (an empty name), which take no part.

    `share`: 0 leaves rewards as they are, 1 takes out all of a large group's difference.
    """
    rewards_N = np.asarray(rewards, np.float64)
    levels_N = np.zeros_like(rewards_N)
    grouped = np.array([index for index, name in enumerate(names) if name], int)
    for members in groups([kinds[index] for index in grouped]):
        of_kind = grouped[members]
        mean = rewards_N[of_kind].mean()
        for like in groups([names[index] for index in of_kind]):
            own = of_kind[like]
            levels_N[own] = share * len(own) / (len(own) + PRIOR) * (rewards_N[own].mean() - mean)
    return levels_N
