"""The census counts what the buffers hold, whatever came and went, and whatever the family says of its tasks."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffers.buffers import TaskBuffers
from buffers.census import ALL, SIZE, Tally, family_traits
from tasks.arithmetic.family import ArithmeticFamily
from tasks.family import Family
from tasks.records import Kind, Origin, Pair, Task

FAMILY = ArithmeticFamily()
TRAITS = family_traits(FAMILY)
PROGRAMS = ["a + b", "a - b", "a * b + c", "a * (b + c)"]


def task(program: str, *inputs: str, difficulty: float = 3.0, number: int = 0, kind: Kind = Kind.DEDUCTION) -> Task:
    return Task(
        task_id=f"t{number}",
        kind=kind,
        program=program,
        pairs=tuple(Pair(input=text, output="0") for text in inputs),
        num_shown=1,
        fingerprint=f"{kind}{program}{inputs}{number}",
        origin=Origin.PROPOSED,
        step=1,
        difficulty=difficulty,
    )


@pytest.mark.parametrize(
    ("program", "inputs", "operators", "digits", "shape"),
    [
        ("a + b", ["3, 14"], "plus", "1_2", "(xx)"),
        ("a * b + c", ["3, 14, 5"], "times_plus", "1_2_1", "((xx)x)"),
        ("a - (b - c)", ["3, 1, 5"], "minus_minus", "1_1_1", "(x(xx))"),
        ("a * b", ["3, 1", "10, 2", "4, 55"], "times", "2_2", "(xx)"),
    ],
)
def test_arithmetic_tasks_are_told_apart_by_operators_digits_and_shape(
    program: str, inputs: list[str], operators: str, digits: str, shape: str
) -> None:
    found = TRAITS(task(program, *inputs, difficulty=4.0))
    assert found == {
        "operators": operators,
        "digits": digits,
        "shape": shape,
        SIZE: "4",
        ALL: f"{operators} {digits} {shape} 4",
    }


def test_evaluations_are_still_broken_down_by_operators_alone() -> None:
    draft = FAMILY.heldout()["deduction"][0]
    assert set(FAMILY.features(draft)) == {"operators"}


class Plain:
    """A family that says no more than its features."""

    def features(self, draft: object) -> dict[str, str]:
        return {"colour": "red"}


def test_a_family_without_traits_is_told_by_its_features() -> None:
    family: Family = Plain()  # type: ignore[assignment]
    assert family_traits(family)(task("a", difficulty=0.0)) == {"colour": "red", SIZE: "0", ALL: "red 0"}


@given(
    st.lists(st.tuples(st.sampled_from(PROGRAMS), st.integers(0, 6), st.sampled_from([2.0, 3.5, 9.0])), max_size=40),
    st.integers(1, 8),
)
def test_the_census_is_a_recount_of_what_is_held_however_tasks_were_evicted(
    inserted: list[tuple[str, int, float]], capacity: int
) -> None:
    buffers = TaskBuffers([Kind.DEDUCTION, Kind.ABDUCTION], capacity, TRAITS)
    for program, number, difficulty in inserted:
        text = ", ".join(["7"] * (program.count(" ") // 2 + 1))
        buffers.add([task(program, text, difficulty=difficulty, number=number)], [None])
    held = buffers.sample(Kind.DEDUCTION, capacity, 0)
    census = buffers.census()[Kind.DEDUCTION]
    assert census.size == len(held)
    assert census.difficulties == Counter(item.difficulty for item in held)
    for name in census.traits:
        assert census.traits[name] == Counter(TRAITS(item)[name] for item in held)
    assert buffers.census()[Kind.ABDUCTION].size == 0


def test_a_snapshot_is_counted_as_it_is_loaded(tmp_path: Path) -> None:
    buffers = TaskBuffers([Kind.DEDUCTION], 10, TRAITS)
    buffers.add([task("a + b", "1, 2"), task("a - b", "1, 2"), task("a + b", "1, 22")], [None] * 3)
    buffers.snapshot(tmp_path / "buffers.json").write()
    restored = TaskBuffers([Kind.DEDUCTION], 10, TRAITS)
    restored.add([task("a * b", "1, 2")], [None])
    restored.load(tmp_path / "buffers.json")
    assert restored.census() == buffers.census()


def test_a_census_is_not_changed_by_what_comes_later() -> None:
    tally = Tally(TRAITS)
    tally.add(task("a + b", "1, 2"))
    before = tally.census()
    tally.add(task("a + b", "3, 4", number=1))
    assert before.traits["operators"] == {"plus": 1}
    assert tally.census().traits["operators"] == {"plus": 2}
