from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffers.census import Census
from selfplay.curriculum import curriculum_scalars, histogram, quantiles
from tasks.records import Kind, Origin, Pair, Task

D, A = Kind.DEDUCTION, Kind.ABDUCTION


def task(name: str, kind: Kind, difficulty: float) -> Task:
    return Task(
        task_id=name, kind=kind, program="a + b", pairs=(Pair(input="1, 2", output="3"),), num_shown=1, fingerprint=name,
        origin=Origin.PROPOSED, step=1, difficulty=difficulty,
    )  # fmt: skip


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 20))
def test_quantiles_are_the_values_at_their_ranks(values: list[int], times: int) -> None:
    ordered = sorted(values * times)
    found = quantiles(Counter(float(value) for value in ordered))
    assert found == {name: ordered[-(-share * len(ordered) // 10) - 1] for name, share in (("p10", 1), ("p50", 5), ("p90", 9))}


def test_quantiles_of_nothing_are_none() -> None:
    assert quantiles({}) == {}


def test_bins_hold_their_upper_ends_and_the_ends_are_apart() -> None:
    rates = [0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 0.875, 1.0, 1.0]
    assert histogram(rates) == {"s0": 1, "s25": 2, "s50": 2, "s75": 1, "s99": 1, "s100": 2}
    assert histogram([]) == dict.fromkeys(["s0", "s25", "s50", "s75", "s99", "s100"], 0)


def test_a_steps_curriculum_counts_new_tasks_and_the_buffers_they_enter() -> None:
    fresh = [task("a", D, 2.0), task("b", D, 3.0), task("c", D, 8.0), task("d", A, 4.0)]
    rates = {"a": 0.5, "b": 1.0, "d": 0.25, "from the buffer": 0.5}
    census = {D: Census(size=3, traits={}, difficulties={1.0: 2, 5.0: 1}), A: Census(size=0, traits={}, difficulties={})}
    found = curriculum_scalars([D, A], fresh, rates, census)
    assert [found[f"difficulty/deduction/{name}"] for name in ("p10", "p50", "p90")] == [2.0, 3.0, 8.0]
    assert [found[f"difficulty/deduction/buffer/{name}"] for name in ("p10", "p50", "p90")] == [1.0, 1.0, 5.0]
    assert "difficulty/abduction/buffer/p50" not in found
    bins = {name: found[f"learnability/deduction/{name}"] for name in ("s0", "s25", "s50", "s75", "s99", "s100")}
    assert bins == {"s0": 0, "s25": 0, "s50": 1, "s75": 0, "s99": 0, "s100": 1}
    assert (found["learnability/deduction/share"], found["learnability/abduction/share"]) == (0.5, 0.5)


def test_shares_of_no_rewarded_proposal_are_left_out() -> None:
    census = {D: Census(size=0, traits={}, difficulties={})}
    found = curriculum_scalars([D], [task("a", D, 2.0)], {"a": 1.0}, census)
    assert "learnability/deduction/share" not in found
    assert found["learnability/deduction/s100"] == pytest.approx(1)
