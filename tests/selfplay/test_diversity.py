import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffers.census import ALL, Census, family_traits
from selfplay.diversity import (
    diversity_scalars,
    entropy,
    expected_entropy,
    rarity,
    rarity_among,
    seed_counts,
    seed_scalars,
)
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Kind, Origin, Pair, Task

D = Kind.DEDUCTION
TRAITS = family_traits(ArithmeticFamily())


def task(program: str, operands: str = "3, 4") -> Task:
    return Task(
        task_id=program, kind=D, program=program, pairs=(Pair(input=operands, output="0"),), num_shown=1,
        fingerprint=program, origin=Origin.PROPOSED, step=1, difficulty=4.0,
    )  # fmt: skip


def census(**traits: dict[str, int]) -> dict[Kind, Census]:
    size = sum(next(iter(traits.values()), {}).values())
    return {D: Census(size=size, traits=traits, difficulties={})}


@pytest.mark.parametrize(
    ("counts", "nats"),
    [
        ([], 0),
        ([7], 0),
        ([1, 1], math.log(2)),
        ([5, 5, 5, 5, 0], math.log(4)),
        ([3, 1], 0.75 * math.log(4 / 3) + math.log(4) / 4),
    ],
)
def test_entropy_in_nats(counts: list[int], nats: float) -> None:
    assert entropy(counts) == pytest.approx(nats)


@given(st.lists(st.integers(0, 50), max_size=8))
def test_entropy_lies_between_nothing_and_the_number_of_values(counts: list[int]) -> None:
    kept = [count for count in counts if count]
    assert 0 <= entropy(counts) <= math.log(max(1, len(kept))) + 1e-12
    assert entropy(counts) == entropy(kept)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(1, 4))
def test_expected_entropy_is_the_mean_over_all_draws(counts: list[int], draws: int) -> None:
    total = sum(counts)
    mean = 0.0
    if total:
        for drawn in itertools.product(range(len(counts)), repeat=draws):
            chance = math.prod(counts[value] / total for value in drawn)
            mean += chance * entropy(Counter(drawn).values())
    assert expected_entropy(counts, draws) == pytest.approx(mean, abs=1e-9)


def test_expected_entropy_of_many_draws_nears_the_entropy_itself() -> None:
    counts = [50, 30, 15, 5]
    values = [expected_entropy(counts, draws) for draws in (2, 8, 32, 5000)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(entropy(counts), abs=1e-3)
    assert expected_entropy(counts, 0) == 0


@given(st.integers(0, 500), st.integers(0, 500))
def test_rarity_is_one_for_the_unseen_zero_for_the_only_and_falls_between(count: int, more: int) -> None:
    total = count + more
    assert rarity(0, total) == 1.0
    assert 0 <= rarity(count, total) <= 1
    if total:
        assert rarity(total, total) == 0
        assert rarity(count, total) >= rarity(min(total, count + 1), total)


def test_rarity_is_against_the_whole_buffer_and_all_traits_together() -> None:
    common, rare = task("a + b"), task("a * b", "12, 34")
    held = census(**{ALL: {TRAITS(common)[ALL]: 60, TRAITS(rare)[ALL]: 3}})[D]
    assert rarity_among(TRAITS(common), held) == pytest.approx(1 - math.log(61) / math.log(64))
    assert rarity_among(TRAITS(rare), held) == pytest.approx(1 - math.log(4) / math.log(64))
    assert rarity_among(TRAITS(task("a - b")), held) == 1.0


def test_a_steps_entropies_are_told_beside_what_is_known_and_beside_the_seeds() -> None:
    tasks = [task("a + b"), task("a + b", "3, 5"), task("a - b"), task("a * b")]
    held = census(operators={"plus": 9, "plus_plus": 1})[D]
    seeds = {"deduction/operators": [10, 10, 10]}
    found = diversity_scalars(D, tasks, TRAITS, held, seeds)
    own = entropy([2, 1, 1])
    assert found["diversity/deduction/operators/entropy"] == pytest.approx(own)
    assert found["diversity/deduction/operators/normalised"] == pytest.approx(own / math.log(4))  # 4 tasks, 4 values known
    assert found["diversity/deduction/operators/of_seeds"] == pytest.approx(own / expected_entropy([10, 10, 10], 4))
    assert found["diversity/deduction/shape/entropy"] == 0
    assert "diversity/deduction/shape/normalised" not in found  # one value is all there is
    assert "diversity/deduction/shape/of_seeds" not in found  # of which the seeds say nothing
    assert found["diversity/deduction/rarity"] == 1.0
    assert diversity_scalars(D, [], TRAITS, held, seeds) == {}


def test_a_step_that_draws_as_the_seeds_do_has_a_ratio_of_one_on_average_however_small() -> None:
    rng = np.random.default_rng(0)
    seeds = [120, 60, 60, 30, 20, 10]
    shares = np.array(seeds) / sum(seeds)
    ratios = [entropy(rng.multinomial(6, shares)) / expected_entropy(seeds, 6) for _ in range(4000)]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.01)


def test_seeds_are_remembered_by_their_counts() -> None:
    held = census(operators={"plus": 1, "minus": 3}, shape={"(xx)": 4})
    assert seed_counts(held) == {"deduction/operators": [3, 1], "deduction/shape": [4]}
    assert seed_scalars(seed_counts(held)) == {
        "diversity/deduction/operators/seeds": pytest.approx(entropy([3, 1])),
        "diversity/deduction/shape/seeds": 0.0,
    }
