"""Engines that are stepped by hand: requests join late, weights come in flight, and every token says which weights made it."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from actors.engine_loop import EngineLoop
from actors.transformers_engine import TransformersEngine
from actors.vllm_engine import VllmEngine
from configs.errors import UserError
from configs.system_sections import GeneratorsSection
from learner.weights import Publication
from tasks.records import Request, Rollout

MakeRequests = Callable[..., list[Request]]
Publish = Callable[[int], Publication]
Engine = VllmEngine | TransformersEngine


@pytest.fixture(scope="module", params=["transformers", pytest.param("vllm", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest, tiny_model: Path, generators: GeneratorsSection) -> Iterator[Engine]:
    if request.param == "vllm":
        made: Engine = VllmEngine(tiny_model, generators, sampler_id="vllm-step")
    else:
        made = TransformersEngine(tiny_model, generators, sampler_id="transformers-step")
    yield made
    made.close()
    gc.collect()


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def logprobs_by_version(models: dict[int, Any], rollout: Rollout) -> list[float]:
    """log softmax(logits / T) of each token under the version that made it, from a plain forward pass over all of it."""
    ids = torch.tensor([rollout.prompt_ids + rollout.completion_ids])
    spans = [*rollout.versions, (-1, len(rollout.completion_ids))]
    found: list[float] = []
    for (version, first), (_, end) in pairwise(spans):
        with torch.no_grad():
            logprobs_TV = (models[version](ids).logits[0].float() / rollout.temperature).log_softmax(-1)
        start = len(rollout.prompt_ids) - 1
        found += [float(logprobs_TV[start + index, rollout.completion_ids[index]]) for index in range(first, end)]
    return found


def worst_difference(models: dict[int, Any], rollouts: Sequence[Rollout]) -> float:
    return max(
        abs(ours - theirs)
        for rollout in rollouts
        for ours, theirs in zip(rollout.logprobs, logprobs_by_version(models, rollout), strict=True)
    )


def drain(engine: Engine) -> dict[int, Rollout]:
    done: dict[int, Rollout] = {}
    while engine.num_running:
        done |= dict(engine.step())
    return done


def test_stepped_by_hand_with_late_comers_each_request_gets_what_it_gets_in_a_batch(
    engine: Engine, publish: Publish, make_requests: MakeRequests
) -> None:
    engine.load(publish(11))
    requests = make_requests(16, max_tokens=24)
    expected = engine.generate(requests)
    for key, request in enumerate(requests[:8]):
        engine.add(key, request)
    done = dict(engine.step())
    for key, request in enumerate(requests[8:], start=8):
        engine.add(key, request)
    done |= drain(engine)
    assert [done[key].completion_ids for key in range(16)] == [rollout.completion_ids for rollout in expected]
    assert [done[key].attempt_id for key in range(16)] == [request.attempt_id for request in requests]


def test_a_request_that_does_not_fit_is_refused_and_leaves_nothing_behind(
    engine: Engine, publish: Publish, make_requests: MakeRequests
) -> None:
    engine.load(publish(11))
    with pytest.raises(UserError, match=r"generators\.max_model_len=256"):
        engine.add(0, make_requests(1, prefix="x" * 256)[0])
    assert engine.num_running == 0


@pytest.mark.slow
def test_weights_that_come_in_flight_make_the_tokens_from_there_on_and_their_logprobs(
    vllm_engine: VllmEngine, publish: Publish, make_model: Callable[[int], Any], make_requests: MakeRequests
) -> None:
    first, second = publish(31), publish(32)
    vllm_engine.load(first)
    for key, request in enumerate(make_requests(24, max_tokens=60)):
        vllm_engine.add(key, request)
    done = {}
    for _ in range(10):
        done |= dict(vllm_engine.step())
    assert vllm_engine.num_running
    vllm_engine.load(second)
    rollouts = list((done | drain(vllm_engine)).values())
    mixed = [rollout for rollout in rollouts if rollout.swaps]
    assert mixed
    for rollout in mixed:
        assert (rollout.policy_version, rollout.weight_fingerprint) == (31, first.manifest.fingerprint)
        (swap,) = rollout.swaps
        assert (swap.version, swap.fingerprint, swap.first_token) == (32, second.manifest.fingerprint, 10)
    models = {31: make_model(31), 32: make_model(32)}
    assert worst_difference(models, rollouts) <= 1e-4
    swapped = {31: models[32], 32: models[31]}
    assert worst_difference(swapped, mixed) > 1e-2  # else the check above could not fail


@pytest.mark.slow
def test_after_a_swap_in_flight_no_prompt_is_answered_from_the_old_cache(
    vllm_engine: VllmEngine, publish: Publish, make_model: Callable[[int], Any], make_requests: MakeRequests
) -> None:
    """The new requests share the prompts of the running ones."""
    vllm_engine.load(publish(33))
    requests = make_requests(8, max_tokens=60, prefix="a long common beginning, longer than one block of the cache: ")
    for key, request in enumerate(requests):
        vllm_engine.add(key, request)
    for _ in range(5):
        vllm_engine.step()
    vllm_engine.load(publish(34))
    for key, request in enumerate(requests, start=100):
        vllm_engine.add(key, request)
    done = drain(vllm_engine)
    new = [rollout for key, rollout in done.items() if key >= 100]
    assert {rollout.policy_version for rollout in new} == {34}
    assert worst_difference({34: make_model(34)}, new) <= 1e-4


async def swapped_in_flight(
    loop: EngineLoop, requests: Sequence[Request], first: Publication, second: Publication
) -> tuple[list[Rollout], list[Rollout]]:
    """Half of the requests, then new weights while they run, then the other half, which asks for the new weights."""
    serving = asyncio.create_task(loop.serve())
    loop.load(first)
    half = len(requests) // 2
    version = first.manifest.version
    early = [loop.submit(request, version) for request in requests[:half]]
    await asyncio.wait(early, return_when=asyncio.FIRST_COMPLETED)
    loop.load(second)
    late = [loop.submit(request, second.manifest.version) for request in requests[half:]]
    async with asyncio.timeout(120):
        answers = await asyncio.gather(*early, *late)
    serving.cancel()
    return list(answers[:half]), list(answers[half:])


@pytest.mark.slow
@pytest.mark.parametrize("swap", ["drain", "keep"])
def test_the_loop_swaps_between_two_steps_and_only_keep_makes_rollouts_of_two_versions(
    swap: Any,
    vllm_engine: VllmEngine,
    publish: Publish,
    make_model: Any,
    make_requests: MakeRequests,
    thread: ThreadPoolExecutor,
) -> None:
    version = {"drain": 41, "keep": 51}[swap]
    loop = EngineLoop(vllm_engine, "loop", swap, thread)
    requests = make_requests(32, max_tokens=60)
    first, second = publish(version), publish(version + 1)
    early, late = asyncio.run(swapped_in_flight(loop, requests, first, second))
    assert {rollout.policy_version for rollout in early} == {version}
    assert {rollout.versions for rollout in late} == {((version + 1, 0),)}
    assert bool([rollout for rollout in early if rollout.swaps]) == (swap == "keep")
    models = {version: make_model(version), version + 1: make_model(version + 1)}
    assert worst_difference(models, [*early, *late]) <= 1e-4
    health = loop.health()[0]
    assert (health.version, health.swaps, health.in_flight) == (version + 1, 2, 0)
    assert health.pause_s > 0


def test_a_request_waits_for_the_version_that_it_asks_for(
    tiny_model: Path, generators: GeneratorsSection, publish: Publish, make_requests: MakeRequests, thread: ThreadPoolExecutor
) -> None:
    async def main(loop: EngineLoop) -> tuple[Rollout, Rollout]:
        serving = asyncio.create_task(loop.serve())
        loop.load(publish(1))
        old, new = (loop.submit(request, oldest) for request, oldest in zip(make_requests(2), (1, 2), strict=True))
        answer = await old
        assert not new.done()
        loop.load(publish(2))
        async with asyncio.timeout(60):
            answers = answer, await new
        serving.cancel()
        return answers

    loop = EngineLoop(TransformersEngine(tiny_model, generators), "loop", "drain", thread)
    old, new = asyncio.run(main(loop))
    assert (old.policy_version, new.policy_version) == (1, 2)


@pytest.mark.slow
def test_corrupt_weights_end_the_loop_with_their_version(
    tiny_model: Path, generators: GeneratorsSection, publish: Publish, thread: ThreadPoolExecutor
) -> None:
    async def main(loop: EngineLoop) -> None:
        good = publish(3)
        torn = good.buckets[0].copy()
        torn[1000] ^= 1
        loop.load(Publication(manifest=good.manifest, buckets=(torn, *good.buckets[1:])))
        async with asyncio.timeout(60):
            await loop.serve()

    with pytest.raises(RuntimeError, match="version 3 with fingerprint"):
        asyncio.run(main(EngineLoop(TransformersEngine(tiny_model, generators), "loop", "keep", thread)))
