"""The estimator of a run: running baselines, what is refused, and the share of tasks without a signal."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.advantages import EMA_DECAY, make_estimator, zero_std_share
from learner.estimators import EPSILON
from tasks.records import Kind, Role

D, A = Kind.DEDUCTION, Kind.ABDUCTION
P, S = Role.PROPOSE, Role.SOLVE


def test_running_baselines_remember_and_resume_where_they_stopped() -> None:
    first = [(1.0, D, S, "a"), (0.0, D, S, "a")]
    second = [(1.0, D, S, "b"), (1.0, D, S, "b")]
    estimator = make_estimator("trrpp_ema")
    fresh = make_estimator("trrpp_ema")
    rewards, kinds, roles, tasks = zip(*first, strict=True)
    assert estimator(rewards, kinds, roles, tasks) == pytest.approx([1, -1], abs=1e-5)
    fresh.restore(estimator.state())
    again = zip(*second, strict=True)
    rewards, kinds, roles, tasks = again
    advantages = estimator(rewards, kinds, roles, tasks)
    # Running mean of 1/2 then 1, weights .95 and 1 before debiasing: (.95/2 + 1)/1.95; E[r^2] is the same number.
    mean = (0.95 / 2 + 1) / 1.95
    assert advantages == pytest.approx([(1 - mean) / (mean - mean**2) ** 0.5] * 2, abs=1e-4)
    assert fresh(rewards, kinds, roles, tasks).tolist() == advantages.tolist()
    assert fresh.state() == estimator.state()


@given(st.lists(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=6), min_size=1, max_size=6))
def test_running_baselines_are_weighted_moments_of_all_batches(batches: list[list[float]]) -> None:
    """μ_t = Σ γ^(t−i) mean_i / Σ γ^(t−i), and the same of r²: what the recursion with its debiasing adds up to."""
    estimator = make_estimator("trrpp_ema")
    for number, rewards in enumerate(batches, start=1):
        found = estimator(rewards, [D] * len(rewards), [S] * len(rewards), ["a"] * len(rewards))
        weights = [EMA_DECAY ** (number - i) for i in range(1, number + 1)]
        mean, square = (
            sum(w * sum(r**power for r in batch) / len(batch) for w, batch in zip(weights, batches, strict=False))
            / sum(weights)
            for power in (1, 2)
        )
        sigma = math.sqrt(max(0.0, square - mean**2))
        expected = [(r - mean) / (sigma + EPSILON) if sigma > 1e-4 else 0.0 for r in rewards]
        assert found.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_zero_std_counts_tasks_not_attempts_and_leaves_proposals_out() -> None:
    attempts = {"a": (1.0, 0.0, 0.0), "b": (1.0, 1.0), "c": (1.0,)}
    samples = [(reward, D, S, task) for task, rewards in attempts.items() for reward in rewards]
    samples += [(0.0, A, S, "d"), (1.0, A, S, "d"), (0.5, A, P, "d")]
    rewards, kinds, roles, tasks = zip(*samples, strict=True)
    assert zero_std_share(rewards, kinds, roles, tasks) == pytest.approx(
        {"zero_std/deduction": 2 / 3, "zero_std/abduction": 0.0, "zero_std": 0.5}
    )
    assert zero_std_share([1.0], [D], [P], ["a"]) == {}


def test_an_unknown_estimator_and_a_broken_reward_are_named() -> None:
    with pytest.raises(ValueError, match="advantage must be one of"):
        make_estimator("ppo")
    with pytest.raises(ValueError, match="rewards must be finite"):
        make_estimator("trrpp")([float("nan")], [D], [S], ["a"])
