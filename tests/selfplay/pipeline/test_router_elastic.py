"""Generators come, leave and die in any order; whoever asked is answered once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import UserError
from configs.system_sections import PipelineSection
from selfplay.pipeline.protocols import GeneratorDied, RequestLost
from selfplay.pipeline.router import Router
from selfplay.simulation.parts import canned
from tasks.records import Kind, Request, Role, Rollout

STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "add", "retire", "die", "wait"]), st.integers(0, 9)), min_size=4, max_size=40
)


class Texts:
    """Says what it was asked, in a way."""

    def generate(self, requests: list[Request]) -> list[Rollout]:
        return [canned(request, 1, 0, "fake", "") for request in requests]


def request(number: int) -> Request:
    return Request(
        task_id=f"task-{number}", attempt=0, step=number % 3, kind=Kind.DEDUCTION, role=Role.SOLVE, prompt="?", seed=number,
        temperature=1.0, max_tokens=4,
    )  # fmt: skip


class Scene:
    """A router, what happens to it, and what it is asked."""

    def __init__(self, streaming: type, section: PipelineSection, latency: Callable[[Request], float]) -> None:
        self._make = lambda: streaming(Texts(), latency)
        self.generators, self.num_made = {"g0": self._make()}, 0
        self.router = Router(dict(self.generators), section)
        self.asked: list[tuple[Request, asyncio.Future[Rollout]]] = []
        self.retiring: list[asyncio.Task[int]] = []

    def ask(self, count: int) -> None:
        for _ in range(count):
            one = request(len(self.asked))
            self.asked.append((one, self.router.submit(one, -1)))

    def add(self, number: int) -> None:
        self.num_made += 1
        name = f"g{self.num_made}"
        self.generators[name] = self._make()
        self.router.add(name, self.generators[name])

    def retire(self, number: int) -> None:
        name = self._one(number)
        if name:
            del self.generators[name]
            self.retiring.append(asyncio.get_running_loop().create_task(self.router.retire(name, float(number))))

    def die(self, number: int) -> None:
        name = self._one(number)
        if name:
            generator = self.generators.pop(name)
            generator._died.set()
            for future in generator._open:
                future.set_exception(GeneratorDied())
            generator._open.clear()

    def _one(self, number: int) -> str:
        """Never the last one."""
        names = list(self.generators)
        return names[number % len(names)] if len(names) > 1 else ""


async def played(scene: Scene, steps: list[tuple[str, int]]) -> list[Any]:
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(scene.router.serve())
        for what, number in steps:
            if what == "wait":
                await asyncio.sleep(float(number))
            else:
                getattr(scene, what)(number)
        answers = await asyncio.gather(*[future for _, future in scene.asked], return_exceptions=True)
        await asyncio.gather(*scene.retiring)
        await asyncio.sleep(1.0)  # the death of who holds nothing is noticed as well
        serving.cancel()
    return answers


def answers_of(
    jump: Any, streaming: type, steps: list[tuple[str, int]], **section: Any
) -> tuple[Scene, list[Any], list[dict[str, Any]]]:
    """`section`: of the pipeline. What an event loop would only log is returned as well."""
    wrong: list[dict[str, Any]] = []

    async def main() -> tuple[Scene, list[Any]]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        scene = Scene(streaming, PipelineSection(**section), lambda request: float(request.seed % 7))
        return scene, await played(scene, steps)

    (scene, answers), _ = jump(main())
    return scene, answers, wrong


@settings(deadline=None, max_examples=200)
@given(steps=STEPS)
def test_every_request_is_answered_once_whoever_comes_leaves_or_dies(
    jump: Any, streaming: type, steps: list[tuple[str, int]]
) -> None:
    scene, answers, wrong = answers_of(jump, streaming, steps, in_flight=3, retries=100)
    assert [answer.attempt_id for answer in answers] == [asked.attempt_id for asked, _ in scene.asked]
    assert not wrong, "such as a future that was set twice"
    seats = scene.router._seats.values()
    assert {seat.name for seat in seats if seat.alive} == set(scene.generators)
    assert not any(seat.held for seat in seats)
    assert scene.router._freest == sorted((0, seat.number) for seat in seats if seat.alive)


@settings(deadline=None, max_examples=100)
@given(steps=STEPS)
def test_who_only_leaves_costs_no_request_one_of_its_moves(jump: Any, streaming: type, steps: list[tuple[str, int]]) -> None:
    peaceful = [(what, number) for what, number in steps if what != "die"]
    _, answers, wrong = answers_of(jump, streaming, peaceful, in_flight=3, retries=0)
    assert not [answer for answer in answers if isinstance(answer, RequestLost)]
    assert not wrong


def test_who_leaves_gets_nothing_new_and_finishes_within_its_grace(jump: Any, streaming: type) -> None:
    async def main() -> tuple[int, int, float]:
        scene = Scene(streaming, PipelineSection(in_flight=8), lambda request: 5.0)
        scene.add(0)
        leaver = scene.generators["g1"]
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(scene.router.serve())
            scene.ask(8)
            left = group.create_task(scene.router.retire("g1", 20.0))
            await asyncio.sleep(1.0)
            scene.ask(8)
            count, at = await left, asyncio.get_running_loop().time()
            await asyncio.gather(*[future for _, future in scene.asked])
            serving.cancel()
        return leaver.num_asked, count, at

    (asked, left, at), _ = jump(main())
    assert (asked, left) == (4, 0)
    assert at == pytest.approx(5.0)


def test_what_is_not_answered_within_the_grace_is_answered_by_the_others(jump: Any, streaming: type) -> None:
    async def main() -> tuple[int, float]:
        scene = Scene(streaming, PipelineSection(in_flight=64), lambda request: 5.0)
        scene.generators["g1"] = streaming(Texts(), lambda request: 1.0, hangs=True)
        scene.router.add("g1", scene.generators["g1"])
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(scene.router.serve())
            scene.ask(8)
            left = await scene.router.retire("g1", 2.0)
            await asyncio.gather(*[future for _, future in scene.asked])
            serving.cancel()
        return left, asyncio.get_running_loop().time()

    (left, seconds), _ = jump(main())
    assert left == 4
    assert seconds == pytest.approx(2.0 + 5.0)


def test_the_run_ends_where_only_those_are_left_that_will_not_come_back(jump: Any, streaming: type) -> None:
    async def main() -> None:
        scene = Scene(streaming, PipelineSection(), lambda request: 1.0)
        scene.add(0)
        async with asyncio.TaskGroup() as group:
            group.create_task(scene.router.serve())
            await asyncio.sleep(1.0)
            scene.generators["g0"]._died.set()
            await asyncio.sleep(1.0)
            assert scene.router.gone() == {"g0"}
            await scene.router.retire("g1", 1.0)
            await asyncio.sleep(1e6)

    with pytest.raises(ExceptionGroup) as caught:
        jump(main())
    assert caught.group_contains(UserError, match="all generators are gone")
