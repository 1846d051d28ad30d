"""The model of an engine against arithmetic by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfplay.simulation.engine import EngineModel, Speed, makespan
from selfplay.simulation.timeline import Timeline


def ends_of(speed: Speed, asked: list[tuple[float, float]], loads: list[tuple[float, int]], swap: str = "drain") -> list[float]:
    """When each (time, tokens) is done; every request may be answered by any version."""
    timeline = Timeline()
    engine = EngineModel(timeline, speed, swap)  # type: ignore[arg-type]
    ends = [0.0] * len(asked)

    def ended(index: int) -> None:
        ends[index] = timeline.time()

    engine.load(0)
    for when, version in loads:
        timeline.call_at(when, lambda version=version: engine.load(version))  # type: ignore[misc]
    for index, (when, tokens) in enumerate(asked):
        timeline.call_at(
            when, lambda index=index, tokens=tokens: engine.submit(tokens, 0, lambda _: ended(index))  # type: ignore[misc]
        )  # fmt: skip
    timeline.run()
    return ends


def test_one_slot_answers_one_request_after_the_other() -> None:
    assert ends_of(Speed(step_s=2.0), [(0, 3), (0, 1), (9, 1)], []) == pytest.approx([6, 8, 11])


def test_running_sequences_share_a_step_and_make_it_longer() -> None:
    speed = Speed(step_s=1.0, sequence_s=0.5, slots=2)  # a step: 2 s with two, 1.5 s with one; the third waits for a slot
    assert ends_of(speed, [(0, 2), (0, 4), (0, 1)], []) == pytest.approx([4, 6 + 1.5, 6])


def test_draining_engines_begin_nothing_until_they_have_loaded_and_others_go_on_at_once() -> None:
    speed = Speed(step_s=1.0, slots=8, load_s=10.0)
    asked, loads = [(20.0, 5.0), (22.0, 1.0)], [(21.0, 1)]  # the first weights are there at 10
    assert ends_of(speed, asked, loads, "drain") == pytest.approx([25, 25 + 10 + 1])
    assert ends_of(speed, asked, loads, "keep") == pytest.approx([35, 32])


def test_a_request_waits_for_the_version_that_it_asks_for() -> None:
    timeline = Timeline()
    engine = EngineModel(timeline, Speed(step_s=1.0))
    engine.load(3)
    told: list[tuple[float, int]] = []
    engine.submit(1, 4, lambda version: told.append((timeline.time(), version)))
    timeline.call_at(7.0, lambda: engine.load(4))
    timeline.run()
    assert told == [(8.0, 4)]


@given(tokens=st.lists(st.integers(0, 30), min_size=1, max_size=40), slots=st.integers(1, 50), step_s=st.floats(0.01, 5))
def test_no_order_of_slots_beats_the_bounds_of_list_scheduling(tokens: list[int], slots: int, step_s: float) -> None:
    steps = makespan(Speed(step_s=step_s, slots=slots), tokens) / step_s
    bound = max(max(tokens), sum(tokens) / slots)
    assert bound - 1e-4 <= steps <= sum(tokens) / slots + max(tokens) + 1e-4


@given(tokens=st.lists(st.integers(1, 30), min_size=1, max_size=40), slots=st.integers(1, 50))
def test_where_only_tokens_cost_it_does_not_matter_how_many_run_together(tokens: list[int], slots: int) -> None:
    assert makespan(Speed(step_s=0.0, sequence_s=0.1, slots=slots), tokens) == pytest.approx(0.1 * sum(tokens), abs=1e-4)
