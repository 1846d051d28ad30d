"""The engine without a model, behind the engine loop and in actors: it takes what the model of an engine says."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import ray

from actors.elastic import RemoteStreaming
from actors.engine_loop import EngineLoop
from actors.fleet import Berth
from actors.proxies import started
from actors.simulated_engine import SimulatedEngine, length
from configs.play_sections import ModelSection
from configs.system_sections import GeneratorsSection, PipelineSection, SimulatedSection
from learner.weights import Publication, WeightManifest
from selfplay.simulation.engine import Speed, makespan
from tasks.records import Request, Rollout

SPEED = Speed(step_s=0.01, sequence_s=0.001, slots=4)
MakeRequests = Callable[..., list[Request]]


def section() -> GeneratorsSection:
    simulated = SimulatedSection(step_s=SPEED.step_s, sequence_s=SPEED.sequence_s)
    return GeneratorsSection(engine="simulated", max_num_seqs=SPEED.slots, simulated=simulated)


def publication(version: int) -> Publication:
    return Publication(manifest=WeightManifest(version=version, fingerprint=f"w{version}", tensors=()), buckets=(np.zeros(1),))


async def answered(loop: EngineLoop, requests: Sequence[Request]) -> tuple[list[Rollout], float]:
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(loop.serve())
        loop.load(publication(0))
        begun = time.perf_counter()
        rollouts = await asyncio.wait_for(asyncio.gather(*[loop.submit(request, 0) for request in requests]), 60)
        seconds = time.perf_counter() - begun
        serving.cancel()
    return rollouts, seconds


def test_an_engine_loop_takes_as_long_over_it_as_the_model_of_an_engine_says(make_requests: MakeRequests) -> None:
    requests = make_requests(12)
    with ThreadPoolExecutor(1) as thread:
        rollouts, seconds = asyncio.run(
            answered(EngineLoop(SimulatedEngine(section(), "one"), "one", "drain", thread), requests)
        )
    assert [rollout.attempt_id for rollout in rollouts] == [request.attempt_id for request in requests]
    assert [len(rollout.completion_ids) for rollout in rollouts] == [length(request) for request in requests]
    foretold = makespan(SPEED, [length(request) for request in requests])
    assert 0.95 * foretold <= seconds < 3 * foretold + 1  # sleeps are never short, and late on a busy machine


def test_a_request_that_outlives_a_swap_says_which_weights_made_which_token(make_requests: MakeRequests) -> None:
    engine = SimulatedEngine(section(), "one")
    request = replace(make_requests(1)[0], seed=9)  # ten tokens
    engine.load(publication(3))
    engine.add(1, request)
    for _ in range(4):
        engine.step()
    engine.load(publication(4))
    done = [answer for _ in range(6) for answer in engine.step()]
    assert [rollout.versions for _, rollout in done] == [((3, 0), (4, 4))]


def test_whole_batches_and_single_steps_give_the_same_answers(make_requests: MakeRequests) -> None:
    requests = make_requests(9)
    whole = SimulatedEngine(section(), "one").generate(requests)
    assert [SimulatedEngine(section(), "one").generate([request])[0] for request in requests] == whole


@pytest.mark.slow
def test_actors_with_simulated_engines_serve_the_pipeline_s_protocol(
    ray_cluster: None, make_requests: MakeRequests, make_berth: Callable[..., Berth]
) -> None:
    berths = [make_berth(f"azr-generator-{index}") for index in range(2)]
    where = {"berths": berths, "run": "simulated", "call_timeout_s": 120.0}
    pipeline = PipelineSection(staleness=1, in_flight=4)
    (remote,) = started([lambda: RemoteStreaming("", section(), ModelSection(), pipeline, **where)], 300.0)
    requests = make_requests(40)

    async def work() -> tuple[list[Rollout], float]:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(remote.serve())
            one = publication(1)
            remote.load(replace(one, buckets=tuple(ray.put(bucket) for bucket in one.buckets)))
            begun = time.perf_counter()
            rollouts = await asyncio.wait_for(asyncio.gather(*[remote.submit(request, 1) for request in requests]), 120)
            seconds = time.perf_counter() - begun
            serving.cancel()
        return rollouts, seconds

    try:
        rollouts, seconds = asyncio.run(work())
    finally:
        remote.close()
    assert [rollout.attempt_id for rollout in rollouts] == [request.attempt_id for request in requests]
    assert {rollout.policy_version for rollout in rollouts} == {1}
    assert {rollout.sampler_id for rollout in rollouts} == {"azr-generator-0", "azr-generator-1"}
    assert seconds < makespan(SPEED, [length(request) for request in requests]) * 3 + 5
