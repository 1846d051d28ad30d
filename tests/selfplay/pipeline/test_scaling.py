"""Orders for more or fewer generators: what is done, what is told, and what becomes of the run's speed."""

import asyncio
from collections.abc import Callable, Coroutine, Set
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from configs.errors import UserError
from configs.play_sections import BuffersSection, SolverSection
from configs.schema import RunConfig
from configs.system_sections import PipelineSection, RunSection
from selfplay.pipeline.router import Router
from selfplay.pipeline.scaling import Scaling, Waits
from selfplay.simulation.engine import Speed
from selfplay.simulation.latencies import Game, Latencies, Work
from selfplay.simulation.model import Model
from selfplay.simulation.parts import SimulatedGenerator
from tasks.records import Kind, Request, Role
from tests.selfplay.pipeline.fake_orders import FakeOrders

JOIN_S, LEAVE_S = 10.0, 3.0


class FakeElastic:
    """Joins in `JOIN_S`, where there is room for as many; keeps who is there."""

    def __init__(self, number: int, room: int = 100) -> None:
        self.there, self.room = set(range(number)), room
        self.fails: set[int] = set()
        self.dead: set[int] = set()
        self.leaves: set[int] = set()
        self.fewest = number

    def name(self, number: int) -> str:
        return f"g{number}"

    async def join(self, number: int, waits: Waits) -> int:
        assert number not in self.there
        if len(self.there) >= self.room:
            waits(number, "CPU 1 needed, 0 available")
        while len(self.there) >= self.room:
            await asyncio.sleep(0.5)
        self.there.add(number)
        await asyncio.sleep(JOIN_S)
        if number in self.fails:
            self.there.discard(number)
            raise UserError("no such model")
        return 7

    async def leave(self, number: int) -> int:
        await asyncio.sleep(LEAVE_S)
        self.there.discard(number)
        self.dead.discard(number)
        self.leaves.discard(number)
        self.fewest = min(self.fewest, len(self.there))
        return 0

    def gone(self) -> Set[int]:
        return self.dead

    async def doomed(self) -> Set[int]:
        return set(self.leaves)


def scaled(
    jump: Any, elastic: FakeElastic, act: Callable[[FakeOrders], Coroutine[Any, Any, None]], number: int = 1, default: int = 1
) -> FakeOrders:
    orders = FakeOrders()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(Scaling(elastic, orders, number, default).run())
            await act(orders)
            running.cancel()

    jump(main())
    return orders


def test_an_order_is_carried_out_once_and_told_change_by_change(jump: Any) -> None:
    elastic = FakeElastic(1)

    async def act(orders: FakeOrders) -> None:
        await asyncio.sleep(60)
        assert not orders.told, "nothing was asked for"
        orders.ask(3)
        await asyncio.sleep(15)
        assert elastic.there == {0, 1, 2}
        orders.ask(1)
        await asyncio.sleep(15)

    orders = scaled(jump, elastic, act)
    assert elastic.there == {0}, "the highest numbers leave first"
    assert orders.ends() == [("done", 3), ("done", 1)]
    assert [change.line for change in orders.told if change.asked == 1.0] == [
        "g1 serves version 7 after 10.0 s", "g2 serves version 7 after 10.0 s", "3 generators serve",
    ]  # fmt: skip


def test_an_order_overtakes_one_that_is_under_way(jump: Any) -> None:
    elastic = FakeElastic(1)

    async def act(orders: FakeOrders) -> None:
        for number in (5, 2, 4, 2):
            orders.ask(number)
            await asyncio.sleep(4)
        await asyncio.sleep(30)

    orders = scaled(jump, elastic, act)
    assert elastic.there == {0, 1}
    assert orders.ends() == [("done", 2)]


def test_who_finds_no_room_says_so_and_joins_when_there_is_some(jump: Any) -> None:
    elastic = FakeElastic(1, room=2)

    async def act(orders: FakeOrders) -> None:
        orders.ask(3)
        await asyncio.sleep(60)
        assert orders.ends() == [("short", 2)]
        elastic.room = 3
        await asyncio.sleep(15)

    orders = scaled(jump, elastic, act)
    assert orders.ends() == [("short", 2), ("done", 3)]
    assert any("waits for room: CPU 1 needed, 0 available" in change.line for change in orders.told)


def test_who_waits_for_room_is_given_up_by_the_next_order(jump: Any) -> None:
    elastic = FakeElastic(2, room=2)

    async def act(orders: FakeOrders) -> None:
        orders.ask(4)
        await asyncio.sleep(20)
        orders.ask(2)
        await asyncio.sleep(20)
        elastic.room = 9
        await asyncio.sleep(60)

    orders = scaled(jump, elastic, act, number=2, default=2)
    assert elastic.there == {0, 1}
    assert orders.ends() == [("short", 2), ("done", 2)]


def test_who_does_not_start_or_dies_for_good_is_tried_again_by_the_next_order_only(jump: Any) -> None:
    elastic = FakeElastic(2)
    elastic.fails = {2}

    async def act(orders: FakeOrders) -> None:
        orders.ask(3)
        await asyncio.sleep(60)
        assert orders.ends() == [("short", 2)]
        assert "g2 did not join, the others go on: no such model" in [change.line for change in orders.told]
        elastic.dead = {1}
        await asyncio.sleep(60)
        assert elastic.there == {0}
        elastic.fails = set()
        orders.ask(3)
        await asyncio.sleep(60)

    orders = scaled(jump, elastic, act, number=2, default=2)
    assert elastic.there == {0, 1, 2}
    assert orders.ends()[-1] == ("done", 3)


@pytest.mark.parametrize(("number", "fewest"), [(1, 1), (3, 2)])
def test_generators_of_a_node_that_leaves_are_replaced_and_one_always_serves(jump: Any, number: int, fewest: int) -> None:
    elastic = FakeElastic(number)

    async def act(orders: FakeOrders) -> None:
        elastic.leaves = {0}
        await asyncio.sleep(60)

    scaled(jump, elastic, act, number=number, default=number)
    assert elastic.there == set(range(1, number + 1))
    assert elastic.fewest >= fewest


def test_a_resumed_run_comes_to_what_was_asked_for_before(jump: Any) -> None:
    elastic = FakeElastic(1)

    async def act(orders: FakeOrders) -> None:
        orders.ask(2)
        await asyncio.sleep(60)

    assert scaled(jump, elastic, act, number=1, default=4).ends() == [("done", 2)]
    assert elastic.there == {0, 1}


SPEED = Speed(step_s=0.02, sequence_s=0.01, slots=8)
LENGTHS = range(4, 25)
UPDATE_S = 0.2
FROM_1_TO_3_S, FROM_3_TO_1_S = 360.0, 560.0
SETTLING_STEPS = 4  # after a change, the batches that were begun before it


def length(request: Request) -> int:
    return LENGTHS[request.seed % len(LENGTHS)]


class Simulated(FakeElastic):
    """Sleeping engines, behind the router that a pipeline uses."""

    def __init__(self, router: Router) -> None:
        super().__init__(1)
        self._router = router

    async def join(self, number: int, waits: Waits) -> int:
        version = await super().join(number, waits)
        self._router.add(self.name(number), SimulatedGenerator(self.name(number), SPEED, length))
        return version

    async def leave(self, number: int) -> int:
        left = await self._router.retire(self.name(number), 30.0)
        return left + await super().leave(number)


def planned_s(config: RunConfig, num: int, admitted: dict[Kind, float]) -> float:
    """Of a step, as `azr plan` forecasts it."""
    kinds = [Kind(name) for name in config.family.kinds]
    work = {
        kind: Work(
            num_proposals=config.num_fresh(kind) * config.proposer.oversample,
            num_fresh=config.num_fresh(kind),
            num_tasks=config.num_tasks(kind),
        )
        for kind in kinds
    }
    latencies = Latencies(
        speed=SPEED,
        tokens={(kind, role): tuple(map(float, LENGTHS)) for kind in kinds for role in Role},
        admitted=admitted,
        update_s=(UPDATE_S,),
        publish_s=(UPDATE_S,),
    )
    game = Game(
        work=work, attempts=config.solver.attempts, staleness=config.pipeline.staleness, generators=num,
        in_flight=config.pipeline.in_flight,
    )  # fmt: skip
    steps = Model(game, latencies, 20, seed=0, swap="drain").run()
    return (steps[-1].end_s - steps[SETTLING_STEPS].end_s) / (len(steps) - 1 - SETTLING_STEPS)


@pytest.mark.slow
def test_scaling_a_run_from_one_to_three_and_back_changes_its_speed_as_planned(play: Any, tmp_path: Path) -> None:
    config = RunConfig(
        tasks_per_kind=6,
        run=RunSection(steps=90),
        buffers=BuffersSection(seed_size=12, seed_rounds=0),
        solver=SolverSection(attempts=4),
        pipeline=PipelineSection(staleness=2, request_timeout_s=1e6, batch_timeout_s=1e6),
    )
    orders = FakeOrders()

    async def meanwhile(router: Router) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(Scaling(Simulated(router), orders, 1, 1).run())
            await asyncio.sleep(FROM_1_TO_3_S)
            orders.ask(3)
            await asyncio.sleep(FROM_3_TO_1_S - FROM_1_TO_3_S)
            orders.ask(1)

    first = {"g0": SimulatedGenerator("g0", SPEED, length)}
    outcome = play(config, tmp_path, lambda texts: first, {"learner": UPDATE_S}, meanwhile)
    assert orders.ends() == [("done", 3), ("done", 1)]
    assert outcome.credits.account().balanced
    assert not outcome.credits.account().running
    assert "pipeline/dropped/generator_died" not in outcome.credits.scalars()
    proposed = [item for batch in outcome.trained for item in batch.proposed]
    admitted = {kind: fmean(item.admission.task is not None for item in proposed if item.rollout.kind is kind) for kind in Kind}
    bounds = [0.0, FROM_1_TO_3_S, FROM_1_TO_3_S + JOIN_S, FROM_3_TO_1_S, FROM_3_TO_1_S, outcome.ends[-1]]
    for num, begin_s, end_s in zip((1, 3, 1), bounds[::2], bounds[1::2], strict=True):
        ends = [end for end in outcome.ends if begin_s < end <= end_s][SETTLING_STEPS:]
        assert len(ends) > 5
        step_s = (ends[-1] - ends[0]) / (len(ends) - 1)
        assert step_s == pytest.approx(planned_s(config, num, admitted), rel=0.1), f"with {num} generators"
