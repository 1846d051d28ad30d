import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.levels import PRIOR, levels
from tasks.records import Kind

D, A = Kind.DEDUCTION, Kind.ABDUCTION
samples = st.lists(
    st.tuples(st.floats(-1, 1), st.sampled_from([D, A]), st.sampled_from(["", "plus", "minus", "times"])),
    min_size=1,
    max_size=40,
)


def unzipped(drawn: list[tuple[float, Kind, str]]) -> tuple[list[float], list[Kind], list[str]]:
    return [reward for reward, _, _ in drawn], [kind for _, kind, _ in drawn], [name for _, _, name in drawn]


def test_a_group_is_levelled_by_what_it_earns_beyond_its_kind_as_worked_by_hand() -> None:
    rewards, names = [1.0, 0.5, 0.0, 0.1, -1.0], ["minus", "minus", "plus", "plus", ""]
    # of the four that are in a group the mean is 0.4; minus earns 0.75, plus 0.05; two samples count 2 / (2 + 4)
    expected = [0.35 / 3, 0.35 / 3, -0.35 / 3, -0.35 / 3, 0.0]
    assert PRIOR == 4.0
    assert levels(rewards, [D] * 5, names, 1.0) == pytest.approx(expected)
    assert levels(rewards, [D] * 5, names, 0.5) == pytest.approx([value / 2 for value in expected])


def test_a_kind_is_not_levelled_by_what_another_kind_earns() -> None:
    alone = levels([1.0, 0.0], [D, D], ["minus", "plus"], 1.0)
    beside = levels([1.0, 0.0, 5.0, 5.0], [D, D, A, A], ["minus", "plus", "minus", "plus"], 1.0)
    assert beside[:2] == pytest.approx(alone)
    assert beside[2:] == pytest.approx([0.0, 0.0])


def test_of_a_large_group_nothing_is_left_that_would_make_it_grow() -> None:
    rewards = [0.8] * 400 + [0.2] * 400
    left = np.array(rewards) - levels(rewards, [D] * 800, ["minus"] * 400 + ["plus"] * 400, 1.0)
    assert np.ptp(left) < 0.01


def test_a_rare_group_that_pays_keeps_most_of_its_difference() -> None:
    rewards = [1.0] + [0.0] * 99
    assert levels(rewards, [D] * 100, ["times"] + ["minus"] * 99, 1.0)[0] == pytest.approx(0.99 / 5)


@given(samples, st.floats(0, 1))
def test_samples_of_no_group_have_no_level_and_change_nobodys(drawn: list[tuple[float, Kind, str]], share: float) -> None:
    rewards, kinds, names = unzipped(drawn)
    found = levels(rewards, kinds, names, share)
    kept = [index for index, name in enumerate(names) if name]
    assert all(found[index] == 0 for index in range(len(drawn)) if index not in kept)
    alone = levels([rewards[i] for i in kept], [kinds[i] for i in kept], [names[i] for i in kept], share)
    assert [found[index] for index in kept] == pytest.approx(alone.tolist())


@given(samples, st.floats(0, 1), st.randoms(use_true_random=False))
def test_levels_do_not_depend_on_the_order_of_samples(
    drawn: list[tuple[float, Kind, str]], share: float, chance: random.Random
) -> None:
    order = list(range(len(drawn)))
    chance.shuffle(order)
    found = levels(*unzipped(drawn), share)
    shuffled = levels(*unzipped([drawn[index] for index in order]), share)
    assert shuffled == pytest.approx([found[index] for index in order])


@given(samples)
def test_within_a_group_differences_stay_as_they_are(drawn: list[tuple[float, Kind, str]]) -> None:
    rewards, kinds, names = unzipped(drawn)
    left = np.array(rewards) - levels(rewards, kinds, names, 1.0)
    for first in range(len(drawn)):
        for second in range(first):
            if kinds[first] == kinds[second] and names[first] == names[second]:
                assert left[first] - left[second] == pytest.approx(rewards[first] - rewards[second])
