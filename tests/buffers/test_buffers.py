import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffers.buffers import TaskBuffers
from configs.errors import UserError
from tasks.records import Kind, Origin, Pair, Task

KINDS = list(Kind)


def task(number: int, kind: Kind = Kind.DEDUCTION, origin: Origin = Origin.PROPOSED) -> Task:
    return Task(
        task_id=f"t{number}",
        kind=kind,
        program=f"a + {number}",
        pairs=(Pair(input=str(number), output=str(2 * number)),),
        num_shown=1,
        fingerprint=f"{kind}-{number}",
        origin=origin,
        step=number,
    )


def filled(count: int, capacity: int = 1000) -> TaskBuffers:
    buffers = TaskBuffers(KINDS, capacity)
    buffers.add([task(number) for number in range(count)], [None] * count)
    return buffers


def test_a_task_is_held_once_whatever_its_id() -> None:
    buffers = filled(3)
    assert buffers.add([task(1), task(7)], [0.5, 0.5]) == [False, True]
    assert buffers.known(["deduction-1", "deduction-7", "deduction-9"]) == [True, True, False]
    assert buffers.sizes() == {Kind.DEDUCTION: 4, Kind.ABDUCTION: 0, Kind.INDUCTION: 0}


def test_sampling_is_uniform_and_without_replacement() -> None:
    buffers = filled(10)
    draws = [buffers.sample(Kind.DEDUCTION, 3, seed) for seed in range(3000)]
    assert all(len({item.fingerprint for item in draw}) == 3 for draw in draws)
    counts = Counter(item.task_id for draw in draws for item in draw)
    assert set(counts) == {f"t{number}" for number in range(10)}
    assert max(abs(count - 900) for count in counts.values()) < 5 * (3000 * 0.3 * 0.7) ** 0.5


def test_the_same_seed_draws_the_same_tasks_and_another_one_others() -> None:
    buffers = filled(50)
    assert buffers.sample(Kind.DEDUCTION, 6, 1) == buffers.sample(Kind.DEDUCTION, 6, 1)
    assert buffers.sample(Kind.DEDUCTION, 6, 1) != buffers.sample(Kind.DEDUCTION, 6, 2)
    first, second = buffers.references(Kind.DEDUCTION, 2, 6, 1)
    assert first != second


def test_the_frontier_is_drawn_by_how_often_a_task_is_sometimes_solved() -> None:
    buffers = filled(30)
    rates = {f"deduction-{number}": (0.5 if number < 10 else 0.0 if number < 20 else 1.0) for number in range(30)}
    buffers.record(rates)
    draws = [item for seed in range(300) for item in buffers.frontier(Kind.DEDUCTION, 5, seed)]
    share = sum(int(item.task_id[1:]) < 10 for item in draws) / len(draws)
    assert share > 0.85
    assert len({item.task_id for item in draws}) == 30  # those that are never or always solved are still looked at
    assert buffers.frontier(Kind.DEDUCTION, 5, 1) == buffers.frontier(Kind.DEDUCTION, 5, 1)
    assert len({item.task_id for item in buffers.frontier(Kind.DEDUCTION, 99, 1)}) == 30


def graded(difficulties: list[float]) -> TaskBuffers:
    buffers = TaskBuffers(KINDS, 1000)
    tasks = [replace(task(number), difficulty=difficulty) for number, difficulty in enumerate(difficulties)]
    buffers.add(tasks, [None] * len(tasks))
    return buffers


@given(st.lists(st.integers(0, 9).map(float), max_size=30), st.integers(0, 9).map(float), st.integers(0, 5))
def test_no_draw_is_harder_than_its_bound_and_one_that_holds_nothing_back_changes_no_draw(
    difficulties: list[float], hardest: float, seed: int
) -> None:
    buffers = graded(difficulties)
    for draw in (buffers.sample, buffers.frontier):
        drawn = draw(Kind.DEDUCTION, 99, seed, hardest)
        assert sorted(item.difficulty for item in drawn) == sorted(each for each in difficulties if each <= hardest)
        assert draw(Kind.DEDUCTION, 5, seed, 9.0) == draw(Kind.DEDUCTION, 5, seed)


def test_failed_tasks_are_those_whose_newest_rate_is_low_and_an_unmeasured_one_has_not_failed() -> None:
    buffers = graded([1.0, 2.0, 3.0, 4.0])
    buffers.record({"deduction-0": 0.0, "deduction-1": 0.25, "deduction-3": 0.0})

    def failed(rate: float, hardest: float = 9.0) -> set[str]:
        return {item.task_id for item in buffers.failed(Kind.DEDUCTION, 9, 1, rate, hardest)}

    assert failed(0.0) == {"t0", "t3"}
    assert failed(0.25) == {"t0", "t1", "t3"}
    assert failed(0.25, hardest=2.0) == {"t0", "t1"}
    buffers.record({"deduction-0": 0.5})
    assert failed(0.0) == {"t3"}


def test_what_is_learnable_is_counted_over_the_newest_tasks() -> None:
    buffers = filled(5)
    buffers.record({"deduction-0": 0.5, "deduction-2": 1.0, "deduction-3": 0.0, "deduction-4": 0.25})
    assert buffers.learnable(9)[Kind.DEDUCTION] == (2, 4)
    assert buffers.learnable(3)[Kind.DEDUCTION] == (1, 3)
    assert buffers.learnable(9)[Kind.ABDUCTION] == (0, 0)


def test_a_small_buffer_gives_what_it_has() -> None:
    assert len(filled(2).sample(Kind.DEDUCTION, 6, 0)) == 2
    assert filled(2).sample(Kind.ABDUCTION, 6, 0) == []
    assert TaskBuffers(KINDS, 5).programs(3, 0) == []


def test_programs_for_induction_come_from_the_other_kinds_buffers() -> None:
    buffers = filled(2)
    buffers.add([task(5, Kind.ABDUCTION), task(9, Kind.INDUCTION)], [None, None])
    assert set(buffers.programs(200, 0)) == {"a + 0", "a + 1", "a + 5"}


def test_a_full_buffer_gives_up_its_oldest_proposed_task_and_keeps_the_seeds() -> None:
    buffers = TaskBuffers(KINDS, capacity=3)
    buffers.add([task(0, origin=Origin.ZERO), task(1), task(2), task(3)], [None] * 4)
    assert buffers.known([f"deduction-{number}" for number in range(4)]) == [True, False, True, True]


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(list(Origin))), max_size=40), st.integers(1, 6))
def test_no_sequence_of_insertions_breaks_capacity_or_uniqueness(inserted: list[tuple[int, Origin]], capacity: int) -> None:
    buffers = TaskBuffers(KINDS, capacity)
    for number, origin in inserted:
        buffers.add([task(number, origin=origin)], [None])
        everything = buffers.sample(Kind.DEDUCTION, 100, 0)
        assert len(everything) == len({item.fingerprint for item in everything}) == buffers.sizes()[Kind.DEDUCTION] <= capacity


def test_a_snapshot_restores_order_and_solve_rates_so_that_a_resumed_run_draws_the_same(tmp_path: Path) -> None:
    buffers = filled(20)
    buffers.add([task(3, Kind.INDUCTION)], [0.25])
    buffers.record({"deduction-4": 0.5, "gone": 1.0})
    buffers.snapshot(tmp_path / "buffers.json").write()
    restored = filled(5)
    restored.load(tmp_path / "buffers.json")
    assert restored.sample(Kind.DEDUCTION, 6, 8) == buffers.sample(Kind.DEDUCTION, 6, 8)
    restored.snapshot(tmp_path / "again.json").write()
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "buffers.json").read_bytes()


def test_a_snapshot_of_a_version_that_kept_more_still_loads(tmp_path: Path) -> None:
    path = tmp_path / "buffers.json"
    filled(2).snapshot(path).write()
    lines = [json.dumps(json.loads(line) | {"times_solved": 3}) for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    restored = TaskBuffers(KINDS, 5)
    restored.load(path)
    assert restored.known(["deduction-0", "deduction-1"]) == [True, True]


def test_a_torn_snapshot_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "buffers.json"
    filled(3).snapshot(path).write()
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UserError, match="line 3 cannot be read"):
        TaskBuffers(KINDS, 5).load(path)
    path.write_text(json.dumps({"task": {}}))
    with pytest.raises(UserError, match="line 1 cannot be read"):
        TaskBuffers(KINDS, 5).load(path)


def test_a_snapshot_that_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"buffers\.json is missing; delete that checkpoint"):
        filled(1).load(tmp_path / "buffers.json")
