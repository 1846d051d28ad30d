"""Streaming generators as Ray actors that come and go: what they serve, what they leave behind, and a node that is drained."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util.placement_group import placement_group_table

from actors.elastic import Growth, RemoteStreaming
from actors.placement import Slot, berth
from actors.proxies import started
from cluster.patience import patiently
from cluster.placement import GroupRoom
from configs.play_sections import ModelSection
from configs.schema import RunConfig
from configs.system_sections import GeneratorsSection, PipelineSection, SimulatedSection
from learner.weights import Publication
from selfplay.pipeline.scaling import Change
from tasks.records import Request, Rollout
from tests.selfplay.pipeline.fake_orders import FakeOrders

pytestmark = pytest.mark.slow

MakeRequests = Callable[..., list[Request]]
Publish = Callable[[int], Publication]
DEADLINE_S = 240.0


async def said(orders: FakeOrders, this: Callable[[Change], bool]) -> None:
    await orders.said(this, DEADLINE_S)


async def carried_out(orders: FakeOrders, number: int) -> None:
    orders.ask(number)
    asked = orders.order.asked if orders.order else 0.0
    await said(orders, lambda change: change.asked == asked and change.state == "done")


class Scene:
    """One generator to begin with, in a bundle of its own."""

    def __init__(self, model_path: str, section: GeneratorsSection, run: str) -> None:
        config = RunConfig.model_validate(
            {"generators": section.model_dump(), "pipeline": {"staleness": 1}, "run": {"name": run}}
        )
        self.room, self.orders = GroupRoom(config), FakeOrders()
        slots = [self.room.ask("azr-generator-0")]

        def made(number: int, slot: Slot) -> Any:
            env = {"OMP_NUM_THREADS": "1"}
            return berth(f"azr-generator-{number}", {"CPU": section.cpus}, slot.group, slot.index, env)

        growth = Growth(
            room=self.room, orders=self.orders, berth=made, slots=slots, default=1, placement_timeout_s=5.0,
            start_timeout_s=DEADLINE_S,
        )  # fmt: skip
        arguments = (model_path, section, ModelSection(), PipelineSection(staleness=1, in_flight=4))
        where = {"berths": [made(0, slots[0])], "run": run, "call_timeout_s": 120.0, "growth": growth}
        (self.remote,) = started([lambda: RemoteStreaming(*arguments, **where)], DEADLINE_S)

    def served(self, work: Callable[[], Any]) -> Any:
        async def main() -> Any:
            async with asyncio.timeout(2 * DEADLINE_S), asyncio.TaskGroup() as group:
                serving = group.create_task(self.remote.serve())
                result = await work()
                serving.cancel()
            return result

        return asyncio.run(main())

    def close(self) -> None:
        self.remote.close()
        self.room.close()


def put(publication: Publication) -> Publication:
    return replace(publication, buckets=tuple(ray.put(bucket) for bucket in publication.buckets))


@pytest.fixture
def scene(ray_cluster: None, tiny_model: Path, generators: GeneratorsSection) -> Iterator[Scene]:
    section = generators.model_copy(update={"engine": "transformers", "cpus": 0.25})
    made = Scene(str(tiny_model), section, "elastic")
    yield made
    made.close()


def test_generators_join_with_the_newest_weights_and_leave_with_their_process_and_bundle(
    scene: Scene, publish: Publish, make_requests: MakeRequests
) -> None:
    remote, orders = scene.remote, scene.orders

    def groups() -> int:
        return sum(group["state"] == "CREATED" for group in placement_group_table().values())

    async def work() -> tuple[list[Rollout], list[Rollout], list[int]]:
        remote.load(put(publish(1)))
        remote.load(put(publish(2)))
        before = [remote.submit(request, 1) for request in make_requests(48, max_tokens=60)]
        await carried_out(orders, 3)
        counts = [len(remote.health()), groups()]
        joined = [remote.submit(request, 2) for request in make_requests(48, prefix="again ")]
        first = list(await asyncio.gather(*before))
        await asyncio.sleep(0)
        late = [remote.submit(request, 2) for request in make_requests(48, max_tokens=60, prefix="late ")]
        await carried_out(orders, 1)
        counts += [len(remote.health()), groups()]
        second = list(await asyncio.gather(*joined, *late))
        await carried_out(orders, 2)  # under a name that was there before
        await asyncio.gather(*[remote.submit(request, 2) for request in make_requests(16, prefix="more ")])
        return first, second, counts

    first, second, counts = scene.served(work)
    assert counts == [3, 3, 1, 1]
    asked = [request.attempt_id for request in make_requests(48)]
    assert [rollout.attempt_id for rollout in first + second] == asked * 3
    assert {rollout.policy_version for rollout in second} == {2}
    assert {rollout.sampler_id for rollout in second} == {f"azr-generator-{number}" for number in range(3)}
    assert sum("serves version 2 after" in change.line for change in orders.told) == 3
    assert sum("has ended after" in change.line for change in orders.told) == 2


def test_one_that_finds_no_room_says_what_is_missing_and_joins_when_there_is_some(scene: Scene, publish: Publish) -> None:
    from ray.util.placement_group import placement_group, remove_placement_group

    free = ray.available_resources()["CPU"]
    hog = placement_group([{"CPU": free - 0.1}])
    assert hog.wait(30)

    async def work() -> None:
        scene.remote.load(put(publish(1)))
        scene.orders.ask(2)
        await said(scene.orders, lambda change: change.state == "short")
        remove_placement_group(hog)
        await said(scene.orders, lambda change: change.state == "done")

    scene.served(work)
    assert any("CPU 0.25 needed, 0.1 available" in change.line for change in scene.orders.told)


@pytest.fixture
def two_nodes(ray_home: Path) -> Iterator[Any]:
    """A head without CPUs and two workers with room for one generator each; ends the module's cluster."""
    from ray.cluster_utils import Cluster

    ray.shutdown()
    cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}))
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_a_generator_of_a_node_that_is_to_be_drained_is_replaced_on_another(
    two_nodes: Any, publish: Publish, make_requests: MakeRequests
) -> None:
    from ray._raylet import GcsClient
    from ray.core.generated import autoscaler_pb2

    simulated = SimulatedSection(step_s=0.01)
    scene = Scene("", GeneratorsSection(engine="simulated", cpus=1.0, simulated=simulated), "drained")
    node = next(iter(placement_group_table(scene.room._made[0])["bundles_to_node_id"].values()))

    async def work() -> list[Rollout]:
        scene.remote.load(put(publish(1)))
        answers = [scene.remote.submit(request, 1) for request in make_requests(64, max_tokens=40)]
        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        in_an_hour_ms = (time.time_ns() // 10**6) + 3_600_000
        accepted, why = GcsClient(address=two_nodes.address).drain_node(node, reason, "a test", in_an_hour_ms)
        assert accepted, why
        await said(scene.orders, lambda change: "azr-generator-0 has ended" in change.line)
        return list(await asyncio.gather(*answers, *[scene.remote.submit(one, 1) for one in make_requests(8)]))

    try:
        rollouts = scene.served(work)
    finally:
        scene.close()
    assert [change.line.split(" after")[0] for change in scene.orders.told if "after" in change.line] == [
        "azr-generator-1 serves version 1", "azr-generator-0 has ended",
    ]  # fmt: skip
    assert len(rollouts) == 72
    assert {rollout.sampler_id for rollout in rollouts[-8:]} == {"azr-generator-1"}
