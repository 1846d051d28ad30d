"""The memoryless estimators against hand-worked numbers, what they promise, and the formulas as their papers print them.

The papers' forms are written here with loops over the [tasks, attempts] rectangle that they assume; TRL (its GRPO and
RLOO trainers) computes the same with the unbiased σ and ε = 1e-4 where these use the population's σ and ε = 1e-6.
"""

import math
from statistics import fmean, pstdev, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.advantages import make_estimator
from learner.estimators import EPSILON, STATELESS
from tasks.records import Kind, Role

D, A, I = Kind.DEDUCTION, Kind.ABDUCTION, Kind.INDUCTION  # noqa: E741
P, S = Role.PROPOSE, Role.SOLVE
ALL = [*STATELESS, "trrpp_ema"]
PER_TASK_NAMES = ["grpo", "dr_grpo", "rloo", "solver_grpo"]
Sample = tuple[float, Kind, Role, str]


def estimate(name: str, samples: list[Sample]) -> list[float]:
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


# Groups of four, two and one.
PER_TASK: list[Sample] = [
    (1.0, D, S, "a"),
    (0.0, D, S, "a"),
    (0.0, D, S, "a"),
    (0.0, D, S, "a"),
    (1.0, D, S, "b"),
    (1.0, D, S, "b"),
    (1.0, D, S, "c"),
]
SIGMA = math.sqrt(4 / 7 * 3 / 7)  # of the seven together: four are 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("grpo", [3**0.5, -(3**-0.5), -(3**-0.5), -(3**-0.5), 0, 0, 0]),  # mean 1/4, sigma sqrt(3)/4
        ("dr_grpo", [0.75, -0.25, -0.25, -0.25, 0, 0, 0]),
        ("rloo", [1.0, -1 / 3, -1 / 3, -1 / 3, 0, 0, 0]),
        ("solver_grpo", [0.75 / SIGMA, -0.25 / SIGMA, -0.25 / SIGMA, -0.25 / SIGMA, 0, 0, 0]),
    ],
)
def test_per_task_estimators_compare_the_attempts_at_one_task(name: str, expected: list[float]) -> None:
    assert estimate(name, PER_TASK) == pytest.approx(expected, abs=1e-5)


def test_solver_grpo_takes_the_scale_of_its_own_kind() -> None:
    # Abduction alone: 3, 1, 1, 1 -> mean 1.5, sigma sqrt(.75); a task of its own each pair: centred +-1 and 0, 0.
    others: list[Sample] = [(3.0, A, S, "d"), (1.0, A, S, "d"), (1.0, A, S, "e"), (1.0, A, S, "e")]
    found = estimate("solver_grpo", PER_TASK + others)
    assert found[:7] == pytest.approx(estimate("solver_grpo", PER_TASK), abs=1e-12)
    assert found[7:] == pytest.approx([1 / 0.75**0.5, -1 / 0.75**0.5, 0, 0], abs=1e-5)


@pytest.mark.parametrize("name", PER_TASK_NAMES)
def test_proposals_fall_back_to_trrpp_under_per_task_estimators(name: str) -> None:
    proposals = [(0.5, D, P, "a"), (-0.5, D, P, "b"), (0.75, A, P, "c")]
    assert estimate(name, PER_TASK + proposals)[-3:] == pytest.approx([1, -1, 0], abs=1e-5)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("reward", [0.1, 1 / 3, -0.7, 1e3])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_equal_rewards_give_exactly_zero_however_their_mean_is_rounded(name: str, reward: float, size: int) -> None:
    samples = [(reward, kind, role, kind.value) for kind in Kind for role in Role for _ in range(size)]
    assert estimate(name, samples) == [0.0] * len(samples)


@pytest.mark.parametrize("name", ALL)
def test_a_sample_without_others_to_compare_with_gets_zero(name: str) -> None:
    assert estimate(name, [(0.7, D, S, "a")]) == [0.0]
    if name in PER_TASK_NAMES:
        assert estimate(name, [(0.7, D, S, "a"), (0.1, D, S, "b"), (-1.0, D, S, "c")]) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ALL)
def test_an_empty_batch_has_no_advantages(name: str) -> None:
    assert make_estimator(name)([], [], [], []).tolist() == []


rows = st.lists(
    st.tuples(
        st.sampled_from([-1.0, -0.5, 0.0, 0.125, 1.0]), st.sampled_from(Kind), st.sampled_from(Role), st.sampled_from("abc")
    ),
    min_size=1,
    max_size=30,
)


@given(rows)
@pytest.mark.parametrize("name", ALL)
def test_an_advantage_does_not_depend_on_the_order_of_the_batch(name: str, samples: list[Sample]) -> None:
    assert estimate(name, samples[::-1])[::-1] == pytest.approx(estimate(name, samples), abs=1e-9)


@given(rows)
def test_trrpp_sums_to_zero_in_each_of_the_six_groups(samples: list[Sample]) -> None:
    advantages = estimate("trrpp", samples)
    for kind in Kind:
        for role in Role:
            assert sum(a for a, s in zip(advantages, samples, strict=True) if s[1:3] == (kind, role)) == pytest.approx(
                0, abs=1e-6
            )


@given(rows)
@pytest.mark.parametrize("name", ALL)
def test_a_constant_added_to_every_reward_changes_no_advantage(name: str, samples: list[Sample]) -> None:
    raised = [(reward + 2.0, *rest) for reward, *rest in samples]
    assert estimate(name, raised) == pytest.approx(estimate(name, samples), abs=1e-5)


# A rectangle of rewards [tasks, attempts], as the papers have it, all attempts at deduction tasks.
rectangles = st.integers(2, 6).flatmap(
    lambda width: st.lists(st.lists(st.floats(-2, 2, width=16), min_size=width, max_size=width), min_size=1, max_size=5)
)


def solve(name: str, rewards: list[list[float]]) -> list[list[float]]:
    flat = [(reward, D, S, str(task)) for task, row in enumerate(rewards) for reward in row]
    advantages = iter(estimate(name, flat))
    return [[next(advantages) for _ in row] for row in rewards]


def assert_close(found: list[list[float]], expected: list[list[float]]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-7)


@given(rectangles)
def test_grpo_is_section_4_1_2_of_arxiv_2402_03300(rewards: list[list[float]]) -> None:
    """A_i = (r_i − mean(r)) / std(r) over one question's outputs."""
    assert_close(solve("grpo", rewards), [[(r - fmean(row)) / (pstdev(row) + EPSILON) for r in row] for row in rewards])


@given(rectangles)
def test_grpo_times_its_scale_is_trls(rewards: list[list[float]]) -> None:
    """TRL: (r − group mean) / (unbiased group std + 1e-4)."""
    theirs = [[(r - fmean(row)) / (stdev(row) + 1e-4) for r in row] for row in rewards]
    ours = solve("grpo", rewards)
    assert_close(
        [[a * (pstdev(row) + EPSILON) for a in line] for line, row in zip(ours, rewards, strict=True)],
        [[a * (stdev(row) + 1e-4) for a in line] for line, row in zip(theirs, rewards, strict=True)],
    )


@given(rectangles)
def test_dr_grpo_is_arxiv_2503_20783_in_the_form_of_pairs(rewards: list[list[float]]) -> None:
    """A_i = r_i − mean(r) = mean over j of (r_i − r_j)."""
    assert_close(solve("dr_grpo", rewards), [[fmean(r - other for other in row) for r in row] for row in rewards])


@given(rectangles)
def test_rloo_is_equation_7_of_arxiv_2402_14740(rewards: list[list[float]]) -> None:
    """A_i = r_i − 1/(k − 1) Σ_{j≠i} r_j; TRL: r − (sum − r) / (k − 1)."""
    expected = [[r - fmean(row[:i] + row[i + 1 :]) for i, r in enumerate(row)] for row in rewards]
    assert_close(solve("rloo", rewards), expected)


@given(rectangles)
def test_solver_grpo_is_the_group_mean_and_batch_sigma_of_arxiv_2508_08221(rewards: list[list[float]]) -> None:
    """TRL's scale_rewards="batch", with the population's σ."""
    sigma = pstdev([r for row in rewards for r in row])
    assert_close(solve("solver_grpo", rewards), [[(r - fmean(row)) / (sigma + EPSILON) for r in row] for row in rewards])


@given(rows)
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("trrpp", lambda sample: sample[1:3]),  # arXiv 2505.03335 eq. 8
        ("role_baseline", lambda sample: sample[2]),
        ("reinforce_pp", lambda sample: None),  # arXiv 2501.03262: batch mean and std
    ],
)
def test_baselines_of_groups_are_z_scores_by_moments(name: str, key: object, samples: list[Sample]) -> None:
    assert callable(key)
    expected = []
    for sample in samples:
        group = [other[0] for other in samples if key(other) == key(sample)]
        sigma = math.sqrt(max(0.0, fmean(r * r for r in group) - fmean(group) ** 2))
        expected.append((sample[0] - fmean(group)) / (sigma + EPSILON) if sigma > 1e-6 else 0.0)
    assert estimate(name, samples) == pytest.approx(expected, rel=1e-5, abs=1e-6)
