"""Streaming generators as Ray actors: answers one by one, weights pulled while they work, and what a kill costs."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray

from actors.elastic import RemoteStreaming
from actors.fleet import Berth
from actors.mending import Mending
from actors.proxies import started
from configs.errors import UserError
from configs.play_sections import ModelSection
from configs.system_sections import GeneratorsSection, PipelineSection
from learner.weights import Publication
from tasks.records import Request, Rollout

pytestmark = pytest.mark.slow

MakeRequests = Callable[..., list[Request]]
Publish = Callable[[int], Publication]


@pytest.fixture
def streaming(
    ray_cluster: None, tiny_model: Path, generators: GeneratorsSection, make_berth: Callable[..., Berth]
) -> Iterator[Callable[..., RemoteStreaming]]:
    """Two generators with the transformers engine, which starts quickly."""
    made: list[RemoteStreaming] = []

    def build(**section: Any) -> RemoteStreaming:
        arguments = (str(tiny_model), generators.model_copy(update={"engine": "transformers"}), ModelSection())
        berths = [make_berth(f"azr-generator-{index}") for index in range(2)]
        mending = Mending(restarts=section.pop("restarts", 0), start_timeout_s=300.0)
        where = {"berths": berths, "run": f"streaming-{len(made)}", "call_timeout_s": 120.0, "mending": mending}
        pipeline = PipelineSection(staleness=1, **section)
        made.append(*started([lambda: RemoteStreaming(*arguments, pipeline, **where)], 300.0))
        return made[-1]

    yield build
    for one in made:
        one.close()


def put(publication: Publication) -> Publication:
    return replace(publication, buckets=tuple(ray.put(bucket) for bucket in publication.buckets))


async def served(streaming: RemoteStreaming, work: Callable[[], Any]) -> Any:
    """The result of `work` while the generators are served."""
    async with asyncio.timeout(240):
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(streaming.serve())
            result = await work()
            serving.cancel()
    return result


def test_every_request_is_answered_once_by_the_version_that_it_asks_for(
    streaming: Callable[..., RemoteStreaming], publish: Publish, make_requests: MakeRequests
) -> None:
    remote = streaming(in_flight=4)

    async def work() -> list[Rollout]:
        remote.load(put(publish(1)))
        first = [remote.submit(request, 1) for request in make_requests(16)]
        remote.load(put(publish(2)))
        second = [remote.submit(request, 2) for request in make_requests(16, prefix="again ")]
        return list(await asyncio.gather(*first, *second))

    rollouts = asyncio.run(served(remote, work))
    asked = make_requests(16) + make_requests(16)
    assert [rollout.attempt_id for rollout in rollouts] == [request.attempt_id for request in asked]
    assert {rollout.policy_version for rollout in rollouts[:16]} <= {1, 2}
    assert {rollout.policy_version for rollout in rollouts[16:]} == {2}
    assert {rollout.sampler_id for rollout in rollouts} == {"azr-generator-0", "azr-generator-1"}


def test_a_killed_generator_s_requests_are_answered_by_the_other(
    streaming: Callable[..., RemoteStreaming], publish: Publish, make_requests: MakeRequests
) -> None:
    remote = streaming(in_flight=64)
    pids = remote.ready(60.0)

    async def work() -> list[Rollout]:
        remote.load(put(publish(1)))
        answers = [remote.submit(request, 1) for request in make_requests(64, max_tokens=100)]
        await asyncio.sleep(0)
        os.kill(pids[0], signal.SIGKILL)
        return list(await asyncio.gather(*answers))

    rollouts = asyncio.run(served(remote, work))
    assert len(rollouts) == 64
    assert {item.name: item.alive for item in remote.health()} == {"azr-generator-0": False, "azr-generator-1": True}


def test_killed_and_hanging_generators_come_back_with_the_newest_weights_and_nothing_is_lost(
    streaming: Callable[..., RemoteStreaming], publish: Publish, make_requests: MakeRequests
) -> None:
    remote = streaming(in_flight=64, request_timeout_s=45.0, restarts=2)
    pids = remote.ready(60.0)

    async def work() -> list[Rollout]:
        remote.load(put(publish(1)))
        answers = [remote.submit(request, 1) for request in make_requests(64, max_tokens=100)]
        await asyncio.sleep(0)
        os.kill(pids[0], signal.SIGKILL)
        os.kill(pids[1], signal.SIGSTOP)
        remote.load(put(publish(2)))
        answers += [remote.submit(request, 2) for request in make_requests(8)]
        rollouts = list(await asyncio.gather(*answers))
        async with asyncio.timeout(120.0):
            while not all(item.alive for item in remote.health()):
                await asyncio.sleep(0.1)
        return rollouts

    rollouts = asyncio.run(served(remote, work))
    assert [rollout.policy_version for rollout in rollouts] == [2] * 72


def test_what_is_wrong_with_a_request_or_with_weights_arrives_as_itself(
    streaming: Callable[..., RemoteStreaming], publish: Publish, make_requests: MakeRequests
) -> None:
    remote = streaming()

    async def too_long() -> Rollout:
        remote.load(put(publish(1)))
        return await remote.submit(make_requests(1, prefix="x" * 256)[0], 1)

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(served(remote, too_long))
    assert caught.group_contains(UserError, match=r"generators\.max_model_len=256")

    remote = streaming()  # what waits belongs to one event loop

    async def corrupt() -> None:
        good = publish(2)
        torn = good.buckets[0].copy()
        torn[1000] ^= 1
        remote.load(put(replace(good, buckets=(torn, *good.buckets[1:]))))
        await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(served(remote, corrupt))
    assert caught.group_contains(UserError, match="version 2 with fingerprint")
