"""What the plan of a step says, and that a run keeps to it: with each part alone, with all of them, and over a resume."""

import operator
import random
import re
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from buffers.buffers import TaskBuffers
from buffers.census import family_traits
from configs.errors import ConfigError
from configs.play_sections import CurriculumSection, SolverSection
from configs.schema import RunConfig
from selfplay.loop import Parts, SelfPlay
from selfplay.step_plan import balanced, bound, plan_step
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Kind, Request, Role
from telemetry.records import Phase, StepRecord
from telemetry.same_curve import CLOCK

D, A, I = Kind  # noqa: E741 - as they are written everywhere here
RAMP = {"ramp_len": 4, "ramp_start": 4.0, "ramp_end": 7.0}


def steered(config: RunConfig, fresh_share: float = 0.5, **curriculum: Any) -> RunConfig:
    solver = SolverSection(attempts=4, fresh_share=fresh_share)
    return config.model_copy(update={"solver": solver, "curriculum": CurriculumSection(**curriculum)})


def play(config: RunConfig, family: ArithmeticFamily, parts: Parts, run_dir: Path) -> list[StepRecord]:
    """The records of its steps."""
    SelfPlay(config, family, parts, run_dir).run()
    records: list[StepRecord] = parts.telemetry.records  # type: ignore[attr-defined]
    return [record for record in records if record.phase is Phase.SELF_PLAY and record.step]


def told(records: list[StepRecord]) -> list[tuple[object, ...]]:
    """Everything but what the clock measured."""
    return [
        (
            {name: value for name, value in record.scalars.items() if not name.startswith(CLOCK)},
            record.proposals,
            record.attempts,
        )
        for record in records
    ]


def test_without_any_part_the_plan_is_the_configuration_s_own(small_config: RunConfig) -> None:
    config = small_config.model_copy(update={"kind_weights": {"deduction": 2.0}})
    plan = plan_step(config, TaskBuffers(list(Kind), 10), 3)
    assert plan.hardest == inf
    assert {kind: (quota.tasks, quota.fresh, quota.failed) for kind, quota in plan.quotas.items()} == {
        D: (8, 8, 0), A: (4, 4, 0), I: (4, 4, 0),
    }  # fmt: skip


def test_the_bound_rises_linearly_and_is_lifted_or_stays() -> None:
    lifted, kept = CurriculumSection(**RAMP), CurriculumSection(**RAMP, ramp_lift=False)  # type: ignore[arg-type]
    assert [bound(lifted, step) for step in range(1, 7)] == [4, 5, 6, 7, inf, inf]
    assert [bound(kept, step) for step in range(1, 7)] == [4, 5, 6, 7, 7, 7]
    assert bound(CurriculumSection(ramp_len=1, ramp_start=2, ramp_end=3), 1) == 3


@pytest.mark.parametrize("ends", [(0.0, 4.0), (5.0, 4.0)])
def test_a_ramp_that_begins_nowhere_or_falls_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="ramp_end must be at least ramp_start"):
        CurriculumSection(ramp_len=3, ramp_start=ends[0], ramp_end=ends[1])


def test_mined_tasks_take_no_new_task_s_place() -> None:
    with pytest.raises(ValidationError, match=r"mined_share must be at most 1 - solver\.fresh_share, got 0\.25"):
        RunConfig(curriculum=CurriculumSection(mined_share=0.25))
    RunConfig(curriculum=CurriculumSection(mined_share=0.25), solver=SolverSection(fresh_share=0.75))


@given(
    st.lists(st.tuples(st.integers(1, 200), st.floats(0, 1)), min_size=1, max_size=3),
    st.floats(0, 0.9),
)
def test_balancing_keeps_the_sum_and_no_kind_loses_or_gains_more_than_its_part(
    kinds: list[tuple[int, float]], balance: float
) -> None:
    own = {kind: count for kind, (count, _) in zip(Kind, kinds, strict=False)}
    learnable = {kind: share for kind, (_, share) in zip(Kind, kinds, strict=False)}
    tasks = balanced(own, learnable, balance)
    assert sum(tasks.values()) == sum(own.values())
    for kind, count in own.items():
        assert tasks[kind] >= 1
        assert (1 - balance) * count - 2 < tasks[kind] < (1 + balance) * count + 2


def test_tasks_move_to_the_kind_with_more_learnable_ones() -> None:
    own = {D: 40, A: 40, I: 20}
    assert balanced(own, {D: 0.3, A: 0.3, I: 0.3}, 0.9) == own
    assert balanced(own, {D: 0.75, A: 0.25, I: 0.5}, 0.8) == {D: 48, A: 32, I: 20}


def test_attempted_tasks_stay_within_the_ramp_and_harder_proposals_wait_in_the_buffer(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    config = steered(small_config, **RAMP)
    deferred: set[str] = set()
    for record in play(config, family, parts, tmp_path):
        scalars, hardest = record.scalars, bound(config.curriculum, record.step)
        assert scalars.get("curriculum/bound", inf) == hardest
        assert all(row.difficulty <= hardest for row in record.tasks)
        waiting = [row for row in record.proposals if row.reason == "deferred"]
        assert all(row.status == "admitted" and row.reward is None and row.solve_rate is None for row in waiting)
        counted = sum(value for name, value in scalars.items() if name.endswith("/deferred") and name.startswith("curriculum"))
        assert counted == len(waiting) >= scalars.get("counts/dropped/deferred", 0)
        deferred |= {row.proposal_id for row in waiting}
        rollouts = scalars["counts/proposed"] + scalars["counts/attempted"]
        assert scalars["counts/trained"] + scalars["counts/dropped"] == rollouts
    assert deferred
    assert deferred <= {task.task_id for kind in Kind for task in parts.buffers.sample(kind, 1000, 0)}


@pytest.mark.slow
def test_mining_draws_tasks_that_failed_and_never_more_than_its_share(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    config = steered(small_config, mined_share=0.25, mined_rate=0.25)
    newest: dict[str, float] = {}
    mined = 0.0
    for record in play(config, family, parts, tmp_path):
        for kind in Kind:
            share = record.scalars[f"curriculum/{kind}/mined"]
            failed = [row for row in record.tasks if row.kind == kind and newest.get(row.task_id, 1.0) <= 0.25]
            assert share <= 0.25
            assert share * 4 <= len(failed)
            assert (f"curriculum/{kind}/mined/solved" in record.scalars) == (share > 0)
            mined += share
        newest |= {row.task_id: row.solve_rate for row in record.tasks}
    assert mined > 1


@pytest.mark.slow
def test_balance_moves_tasks_by_what_the_buffers_hold_and_tells_it(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    text = parts.generator._text  # type: ignore[attr-defined]

    def half_right(request: Request, rng: random.Random) -> str:
        """At deduction; at the other kinds, whatever the fake says, which is hardly ever right."""
        found = re.search(r"(\d+) ([+*-]) (\d+) = $", request.prompt)
        if found is None or request.role is Role.PROPOSE or rng.random() < 0.5:
            return str(text(request, rng))
        truth = {"+": operator.add, "-": operator.sub, "*": operator.mul}[found[2]](int(found[1]), int(found[3]))
        return str(truth)

    parts.generator._text = half_right  # type: ignore[attr-defined]
    config = steered(small_config.model_copy(update={"tasks_per_kind": 8}), balance=0.9)
    records = play(config, family, parts, tmp_path)
    shares = [[record.scalars[f"curriculum/{kind}/share"] for kind in Kind] for record in records]
    assert all(sum(each) == pytest.approx(1) for each in shares)
    assert all(len(record.tasks) == 24 for record in records)
    assert shares[0] == [pytest.approx(1 / 3)] * 3, "nothing is measured before the first step"
    last = records[-1].scalars
    assert last["curriculum/deduction/learnable"] > last["curriculum/abduction/learnable"] + 0.2
    assert last["curriculum/deduction/share"] > 0.4
    assert len([row for row in records[-1].tasks if row.kind == "deduction"]) > 8


@pytest.mark.slow
def test_a_resumed_run_with_every_part_on_repeats_the_uninterrupted_one(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, other_parts: Parts, tmp_path: Path
) -> None:
    config = steered(small_config, **RAMP, mined_share=0.5, mined_rate=0.5, balance=0.5)
    whole = told(play(config, family, parts, tmp_path / "whole"))
    first = config.model_copy(update={"run": config.run.model_copy(update={"steps": 4})})
    play(first, family, other_parts, tmp_path / "torn")
    fresh = TaskBuffers(list(Kind), 1000, family_traits(family))
    resumed = replace(other_parts, learner=type(other_parts.learner)(), telemetry=type(other_parts.telemetry)(), buffers=fresh)
    assert told(play(config, family, resumed, tmp_path / "torn")) == whole[4:]
    assert resumed.learner.weight == parts.learner.weight  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_generator_s_proposals_stay_within_the_bound(
    small_config: RunConfig, family: ArithmeticFamily, parts: Parts, tmp_path: Path
) -> None:
    arm = small_config.model_copy(update={"proposer": small_config.proposer.model_copy(update={"source": "generator"})})
    config = steered(arm, 1.0, ramp_len=100, ramp_start=4.0, ramp_end=4.0)
    for record in play(config, family, parts, tmp_path):
        assert sum(row.task_id.startswith(f"random{record.step}") for row in record.tasks) >= 3
        assert max(row.difficulty for row in record.tasks) <= 4


def test_a_bound_below_every_task_is_the_user_s_mistake(
    small_config: RunConfig, family: ArithmeticFamily, build_parts: Callable[[], Parts], tmp_path: Path
) -> None:
    data_set = {"mode": "grpo", "dataset": "arithmetic-100", "family": small_config.family.model_copy(update={"kinds": (D,)})}
    config = steered(small_config.model_copy(update=data_set), ramp_len=9, ramp_start=0.5, ramp_end=9.0)
    parts = replace(build_parts(), buffers=TaskBuffers([D], 1000))
    with pytest.raises(ConfigError, match=r"ramp_start must let through a task of every kind, got 0\.5, and no deduction task"):
        SelfPlay(config, family, parts, tmp_path).run()


@pytest.mark.slow
def test_a_data_set_is_drawn_from_within_the_bound(
    small_config: RunConfig, family: ArithmeticFamily, build_parts: Callable[[], Parts], tmp_path: Path
) -> None:
    data_set = {"mode": "grpo", "dataset": "arithmetic-100", "family": small_config.family.model_copy(update={"kinds": (D,)})}
    config = steered(small_config.model_copy(update=data_set), ramp_len=3, ramp_start=3.0, ramp_end=4.0, ramp_lift=True)
    records = play(config, family, replace(build_parts(), buffers=TaskBuffers([D], 1000)), tmp_path)
    assert [max(row.difficulty for row in record.tasks) <= bound(config.curriculum, record.step) for record in records]
    assert [("curriculum/bound" in record.scalars) for record in records] == [True] * 3 + [False] * 3
    assert records[0].scalars["curriculum/deduction/held_back"] > 0
