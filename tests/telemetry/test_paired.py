import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.intervals import wilson
from telemetry.paired import RESAMPLES, accuracy, bootstrap_mean


def exact_quantile(values: list[float], share: float) -> float:
    """Of equally likely values, the smallest that at least this share does not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]


def test_two_items_and_one_run_have_the_interval_worked_by_hand() -> None:
    """Draws of (0, 1): 00, 01, 10, 11, so means 0, ½, ½, 1 with chances ¼, ½, ¼."""
    estimate = bootstrap_mean([[0, 1]])
    assert (estimate.mean, estimate.low, estimate.high) == (0.5, 0.0, 1.0)


@pytest.mark.parametrize("over_runs", [True, False])
def test_the_interval_is_that_of_all_resamples_enumerated(over_runs: bool) -> None:
    values = np.array([[1, -1, 0, 1], [0, 1, 1, 1]])
    items = list(itertools.product(range(4), repeat=4))
    runs = list(itertools.product(range(2), repeat=2)) if over_runs else [(0, 1)]
    means = [float(values[np.ix_(run, item)].mean()) for run in runs for item in items]
    estimate = bootstrap_mean(values, over_runs=over_runs)
    assert estimate.mean == values.mean()
    for found, share in ((estimate.low, 0.025), (estimate.high, 0.975)):
        near = [exact_quantile(means, share + shift) for shift in (-0.006, 0.006)]  # of 10,000 draws, 4 deviations
        assert near[0] <= found <= near[1]


def test_equal_differences_leave_no_doubt() -> None:
    estimate = bootstrap_mean([[1] * 50] * 3)
    assert (estimate.mean, estimate.low, estimate.high) == (1.0, 1.0, 1.0)


def test_pairing_takes_out_what_the_items_have_in_common() -> None:
    """Two arms that differ on 5 of 100 items: each accuracy is uncertain by 20 points, their difference by 9."""
    easy = np.arange(100) < 50
    one, other = easy.astype(int), (easy | (np.arange(100) >= 95)).astype(int)
    difference = bootstrap_mean([other - one])
    assert difference.mean == pytest.approx(0.05)
    assert difference.low > 0
    assert difference.high - difference.low < 0.1
    assert accuracy([one]).high - accuracy([one]).low > 0.18


def test_runs_that_differ_widen_the_interval_only_where_they_are_drawn_anew() -> None:
    runs = [[1] * 40 + [0] * 60, [1] * 60 + [0] * 40, [1] * 80 + [0] * 20]
    drawn, kept = bootstrap_mean(runs), bootstrap_mean(runs, over_runs=False)
    assert drawn.mean == kept.mean == pytest.approx(0.6)
    assert drawn.high - drawn.low > 1.4 * (kept.high - kept.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Simulated arms: a true difference of 0.1, items of different difficulty, runs that differ by 0.03."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(200):
        difficulty_I = rng.uniform(0.1, 0.8, 100)
        shift_R1 = rng.normal(0, 0.03, (5, 1))
        low_RI = rng.random((5, 100)) < difficulty_I
        high_RI = rng.random((5, 100)) < np.clip(difficulty_I + 0.1 + shift_R1, 0, 1)
        estimate = bootstrap_mean(high_RI.astype(int) - low_RI.astype(int))
        hits += estimate.low <= 0.1 <= estimate.high
    assert 0.90 <= hits / 200 <= 1.0


def test_the_same_answers_have_the_same_interval_every_time() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, (3, 200))
    assert bootstrap_mean(values) == bootstrap_mean(values.tolist())
    assert RESAMPLES == 10_000


@pytest.mark.parametrize("right", [0, 1])
def test_answers_that_are_all_alike_have_wilsons_interval_and_not_a_width_of_zero(right: int) -> None:
    estimate = accuracy([[right] * 200] * 3)
    assert (estimate.low, estimate.high) == wilson(200 * right, 200)


@pytest.mark.parametrize("values", [[], [[]], [1, 0]])
def test_values_that_are_no_runs_by_items_are_refused(values: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="runs by items"):
        bootstrap_mean(values)


@given(st.lists(st.lists(st.integers(-1, 1), min_size=7, max_size=7), min_size=1, max_size=4))
def test_the_mean_lies_within_the_values_and_swapping_sides_mirrors_the_interval(values: list[list[int]]) -> None:
    estimate, mirrored = bootstrap_mean(values), bootstrap_mean((-np.array(values)).tolist())
    assert -1 <= estimate.low <= estimate.high <= 1
    assert estimate.mean == pytest.approx(np.mean(values))
    assert (mirrored.low, mirrored.high) == (pytest.approx(-estimate.high), pytest.approx(-estimate.low))
