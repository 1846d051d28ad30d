"""Advantages against hand-worked numbers and the properties that every estimator promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.advantages import STATELESS, make_estimator, zero_std_share
from tasks.records import Kind, Role

D, A, I = Kind.DEDUCTION, Kind.ABDUCTION, Kind.INDUCTION  # noqa: E741
P, S = Role.PROPOSE, Role.SOLVE
ALL = [*STATELESS, "trrpp_ema"]


def estimate(name: str, samples: list[tuple[float, Kind, Role, str]]) -> list[float]:
    rewards, kinds, roles, tasks = zip(*samples, strict=True)
    return [float(value) for value in make_estimator(name)(rewards, kinds, roles, tasks)]


def test_trrpp_compares_a_sample_with_its_kind_and_role_only() -> None:
    # deduction/solve: 1, 0 -> mean 1/2, sigma 1/2 -> +1, -1. abduction/solve: 0, 0, 1 -> mean 1/3, sigma sqrt(2)/3.
    samples = [(1.0, D, S, "a"), (0.0, A, S, "b"), (0.0, D, S, "a"), (0.0, A, S, "c"), (1.0, A, S, "b"), (0.5, D, P, "a")]
    expected = [1.0, -(0.5**0.5), -1.0, -(0.5**0.5), 2**0.5, 0.0]
    assert estimate("trrpp", samples) == pytest.approx(expected, abs=1e-5)


def test_reinforce_pp_has_one_baseline_and_role_baseline_has_two() -> None:
    samples = [(1.0, D, S, "a"), (0.0, A, S, "b"), (3.0, D, P, "a"), (2.0, I, P, "b")]
    # All: mean 1.5, sigma sqrt(1.25). Solve: mean .5, sigma .5; propose: mean 2.5, sigma .5.
    assert estimate("reinforce_pp", samples) == pytest.approx(np.array([-0.5, -1.5, 1.5, 0.5]) / 1.25**0.5, abs=1e-5)
    assert estimate("role_baseline", samples) == pytest.approx([1, -1, 1, -1], abs=1e-5)


PER_TASK = [
    (1.0, D, S, "a"),
    (0.0, D, S, "a"),
    (0.0, D, S, "a"),
    (0.0, D, S, "a"),
    (1.0, D, S, "b"),
    (1.0, D, S, "b"),
    (1.0, D, S, "c"),
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("grpo", [3**0.5, -(3**-0.5), -(3**-0.5), -(3**-0.5), 0, 0, 0]),  # mean 1/4, sigma sqrt(3)/4
        ("dr_grpo", [0.75, -0.25, -0.25, -0.25, 0, 0, 0]),
        ("rloo", [1.0, -1 / 3, -1 / 3, -1 / 3, 0, 0, 0]),
    ],
)
def test_per_task_estimators_compare_the_attempts_at_one_task(name: str, expected: list[float]) -> None:
    assert estimate(name, PER_TASK) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "rloo"])
def test_proposals_fall_back_to_trrpp_under_per_task_estimators(name: str) -> None:
    proposals = [(0.5, D, P, "a"), (-0.5, D, P, "b"), (0.75, A, P, "c")]
    assert estimate(name, PER_TASK + proposals)[-3:] == pytest.approx([1, -1, 0], abs=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_equal_rewards_give_exactly_zero(name: str) -> None:
    samples = [(0.1, kind, role, "a") for kind in Kind for role in Role for _ in range(3)]
    assert estimate(name, samples) == [0.0] * len(samples)


rows = st.lists(
    st.tuples(
        st.sampled_from([-1.0, -0.5, 0.0, 0.125, 1.0]), st.sampled_from(Kind), st.sampled_from(Role), st.sampled_from("abc")
    ),
    min_size=1,
    max_size=30,
)


@given(rows)
@pytest.mark.parametrize("name", ALL)
def test_an_advantage_does_not_depend_on_the_order_of_the_batch(
    name: str, samples: list[tuple[float, Kind, Role, str]]
) -> None:
    assert estimate(name, samples[::-1])[::-1] == pytest.approx(estimate(name, samples), abs=1e-9)


@given(rows)
def test_trrpp_sums_to_zero_in_each_of_the_six_groups(samples: list[tuple[float, Kind, Role, str]]) -> None:
    advantages = estimate("trrpp", samples)
    for kind in Kind:
        for role in Role:
            assert sum(a for a, s in zip(advantages, samples, strict=True) if s[1:3] == (kind, role)) == pytest.approx(
                0, abs=1e-6
            )


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


def test_zero_std_counts_tasks_not_attempts_and_leaves_proposals_out() -> None:
    samples = [*PER_TASK, (0.0, A, S, "d"), (1.0, A, S, "d"), (0.5, A, P, "d")]
    rewards, kinds, roles, tasks = zip(*samples, strict=True)
    assert zero_std_share(rewards, kinds, roles, tasks) == pytest.approx(
        {"zero_std/deduction": 2 / 3, "zero_std/abduction": 0.0, "zero_std": 0.5}
    )
    assert zero_std_share([1.0], [D], [P], ["a"]) == {}


def test_an_unknown_estimator_and_a_broken_reward_are_named() -> None:
    with pytest.raises(ValueError, match="advantage must be one of"):
        make_estimator("ppo")
    with pytest.raises(ValueError, match="rewards must be finite"):
        estimate("trrpp", [(float("nan"), D, S, "a")])
