import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.intervals import wilson

COUNTS = st.integers(0, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


def test_interval_equals_the_published_example() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 1 of 29 gives 0.0061 to 0.1718.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_interval_touches_zero_and_one_at_the_ends() -> None:
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(20, 20) == pytest.approx((0.8389, 1.0), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


@given(COUNTS)
def test_interval_contains_the_share_and_stays_within_zero_and_one(counts: tuple[int, int]) -> None:
    right, total = counts
    low, high = wilson(right, total)
    assert 0.0 <= low <= high <= 1.0
    if total:
        assert low <= right / total <= high


@given(COUNTS)
def test_interval_of_the_wrong_answers_mirrors_that_of_the_right_ones(counts: tuple[int, int]) -> None:
    right, total = counts
    low, high = wilson(right, total)
    assert wilson(total - right, total) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@given(COUNTS.filter(lambda counts: counts[1] > 0))
def test_interval_narrows_with_more_items_at_the_same_share(counts: tuple[int, int]) -> None:
    right, total = counts
    low, high = wilson(right, total)
    closer_low, closer_high = wilson(4 * right, 4 * total)
    assert closer_high - closer_low < high - low


@pytest.mark.parametrize(("right", "total"), [(-1, 5), (6, 5), (0, -1)])
def test_impossible_counts_are_refused(right: int, total: int) -> None:
    with pytest.raises(ValueError, match="right must be between 0 and total"):
        wilson(right, total)
