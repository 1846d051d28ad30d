"""The loop's protocols over real Ray actors: results are those of plain objects, and a death is one line."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from actors.fleet import Berth
from actors.learner import LearnerSpec
from actors.mending import Mending
from actors.proxies import RemoteBuffers, RemoteGenerators, RemoteLearner, RemoteVerifiers, started
from actors.transformers_engine import TransformersEngine
from configs.errors import UserError
from configs.play_sections import ModelSection
from configs.system_sections import GeneratorsSection, LearnerSection, VerifiersSection
from learner.weights import Publication, verify
from tasks.family import load_family
from tasks.records import Kind, Origin, Proposal, Request, Rollout, Task, Trajectory
from verifier.verifier import FamilyVerifier

pytestmark = pytest.mark.slow
MakeRequests = Callable[..., list[Request]]
MakeBerth = Callable[..., Berth]
Publish = Callable[[int], Publication]


def in_object_store(publication: Publication) -> Publication:
    return replace(publication, buckets=tuple(ray.put(bucket) for bucket in publication.buckets))


def anonymous(rollouts: list[Rollout]) -> list[Rollout]:
    """Without who sampled it: all else must be the same bits."""
    return [replace(rollout, sampler_id="") for rollout in rollouts]


def generators_on_ray(path: Path, section: GeneratorsSection, make_berth: MakeBerth, count: int, run: str) -> RemoteGenerators:
    berths = [make_berth(f"azr-generator-{i}") for i in range(count)]
    return RemoteGenerators(str(path), section, ModelSection(), berths=berths, run=run, call_timeout_s=60.0)


@pytest.fixture(scope="module")
def vllm_pair(
    ray_cluster: None, tiny_model: Path, generators: GeneratorsSection, make_berth: MakeBerth
) -> Iterator[RemoteGenerators]:
    pair: RemoteGenerators = started([lambda: generators_on_ray(tiny_model, generators, make_berth, 2, "pair")], 300.0)[0]
    yield pair
    pair.close()


@pytest.fixture(scope="module")
def transformers_pair(
    ray_cluster: None, tiny_model: Path, generators: GeneratorsSection, make_berth: MakeBerth
) -> Iterator[tuple[RemoteGenerators, list[int]]]:
    """Light engines for what goes wrong; the test that kills one is the last to use them."""
    section = generators.model_copy(update={"engine": "transformers"})
    pair = generators_on_ray(tiny_model, section, make_berth, 2, "light-pair")
    yield pair, pair.ready(120.0)
    pair.close()


def test_two_vllm_actors_give_the_bits_of_one(
    vllm_pair: RemoteGenerators,
    tiny_model: Path,
    generators: GeneratorsSection,
    make_berth: MakeBerth,
    publish: Publish,
    make_requests: MakeRequests,
) -> None:
    requests = make_requests(30) + make_requests(9, temperature=0.0)
    publication = in_object_store(publish(31))
    vllm_pair.load(publication)
    rollouts = vllm_pair.generate(requests)
    assert {rollout.sampler_id for rollout in rollouts} == {"azr-generator-0", "azr-generator-1"}
    single: RemoteGenerators = started([lambda: generators_on_ray(tiny_model, generators, make_berth, 1, "single")], 300.0)[0]
    try:
        single.load(publication)
        assert anonymous(single.generate(requests)) == anonymous(rollouts)
    finally:
        single.close()
    assert vllm_pair.generate(requests[:1])[0].completion_ids == rollouts[0].completion_ids


def test_a_prompt_that_does_not_fit_arrives_as_the_users_error(
    transformers_pair: tuple[RemoteGenerators, list[int]], make_requests: MakeRequests
) -> None:
    with pytest.raises(UserError, match=r"^prompt of task-0@1#\d has .* generators\.max_model_len=256"):
        transformers_pair[0].generate(make_requests(4, prefix="x" * 300))


def test_a_corrupt_publication_stops_every_generator(
    transformers_pair: tuple[RemoteGenerators, list[int]], publish: Publish, make_requests: MakeRequests
) -> None:
    pair, _ = transformers_pair
    publication = publish(32)
    torn = publication.buckets[0].copy()
    torn[-1] ^= 1
    with pytest.raises(
        UserError, match=r"^azr-generator-\d failed in load: RuntimeError: azr-generator-\d received weights of version 32"
    ):
        pair.load(in_object_store(replace(publication, buckets=(torn,))))
    with pytest.raises(UserError, match=r"serves no weights"):
        pair.generate(make_requests(4))


def test_a_killed_generator_is_one_line_at_once_and_leaves_no_orphan(
    transformers_pair: tuple[RemoteGenerators, list[int]], publish: Publish, make_requests: MakeRequests
) -> None:
    pair, pids = transformers_pair
    pair.load(in_object_store(publish(33)))
    processes = [psutil.Process(pid) for pid in pids]
    family = [process for parent in processes for process in (parent, *parent.children(recursive=True))]
    os.kill(pids[1], 9)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"^azr-generator-1 died in generate \(.*\); the same command resumes") as caught:
        pair.generate(make_requests(8))
    assert time.monotonic() - start < 20
    assert "\n" not in str(caught.value)
    pair.close()
    assert not psutil.wait_procs(family, timeout=10)[1]


def test_a_model_that_cannot_be_loaded_is_the_users_error_and_leaves_nothing(
    ray_cluster: None, tmp_path: Path, generators: GeneratorsSection, make_berth: MakeBerth
) -> None:
    section = generators.model_copy(update={"engine": "transformers"})
    with pytest.raises(UserError, match=r"^model\.name_or_path: no tokenizer can be loaded from .*nowhere"):
        started([lambda: generators_on_ray(tmp_path / "nowhere", section, make_berth, 2, "none")], 120.0)
    # The names are free again.
    with pytest.raises(UserError, match=r"^model\.name_or_path"):
        started([lambda: generators_on_ray(tmp_path / "nowhere", section, make_berth, 2, "none")], 120.0)


def test_two_verifiers_judge_like_one(ray_cluster: None, make_berth: MakeBerth) -> None:
    plain = FamilyVerifier("arithmetic", {}, VerifiersSection())
    berths = [make_berth(f"azr-verifier-{i}", "arithmetic", {}, VerifiersSection()) for i in range(2)]
    remote: RemoteVerifiers = started([lambda: RemoteVerifiers(berths=berths, run="v", call_timeout_s=60.0)], 120.0)[0]
    texts = ["3 + 4", "what?", "7 - 2 * 3", "1 +", "9 * 9"]
    proposals = [Proposal(proposal_id=f"p{i}", step=1, kind=Kind.DEDUCTION, text=text) for i, text in enumerate(texts)]
    assert remote.admit(proposals) == plain.admit(proposals)
    drafts = next(iter(load_family("arithmetic", {}).heldout().values()))[:5]
    assert remote.build(drafts, Origin.HELDOUT, 0, "held") == plain.build(drafts, Origin.HELDOUT, 0, "held")
    remote.close()


def task(number: int) -> Task:
    return Task(
        task_id=f"t{number}", kind=Kind.DEDUCTION, program=f"{number} + 1", pairs=(), num_shown=0, fingerprint=f"f{number}",
        origin=Origin.PROPOSED, step=1,
    )  # fmt: skip


def test_the_buffers_keep_their_tasks_through_a_save_and_a_load(
    ray_cluster: None, make_berth: MakeBerth, tmp_path: Path
) -> None:
    berths = [make_berth(f"azr-buffers-{i}", [Kind.DEDUCTION], 10) for i in range(2)]
    first, second = started([lambda b=b: RemoteBuffers(berth=b, run="b", call_timeout_s=60.0) for b in berths], 120.0)
    assert first.add([task(1), task(2), task(1)], [0.5, None, None]) == [True, True, False]
    assert first.known(["f1", "f9"]) == [True, False]
    first.record({"f2": 0.25})
    first.snapshot(tmp_path / "buffers.json").write()
    second.load(tmp_path / "buffers.json")
    assert second.sizes() == {Kind.DEDUCTION: 2}
    assert second.sample(Kind.DEDUCTION, 2, 7) == first.sample(Kind.DEDUCTION, 2, 7)
    assert [held.task_id for held in second.failed(Kind.DEDUCTION, 2, 7, 0.25, 9.0)] == ["t2"]
    assert second.sample(Kind.DEDUCTION, 2, 7, -1.0) == second.frontier(Kind.DEDUCTION, 2, 7, -1.0) == []
    assert second.learnable(9) == {Kind.DEDUCTION: (2, 2)}
    for part in (first, second):
        part.close()


def test_lost_buffers_come_back_with_every_task_and_write_the_checkpoint_that_was_due(
    ray_cluster: None, make_berth: MakeBerth, tmp_path: Path
) -> None:
    mending = Mending(restarts=3, start_timeout_s=120.0)
    berth = make_berth("azr-buffers", [Kind.DEDUCTION], 10)
    (remote,) = started([lambda: RemoteBuffers(berth=berth, run="lost", call_timeout_s=60.0, mending=mending)], 120.0)
    partial, final = tmp_path / ".partial", tmp_path / "final"
    partial.mkdir()
    remote.add([task(1)], [0.5])
    snapshot = remote.snapshot(partial / "buffers.json")
    remote.add([task(2)], [None])
    os.kill(remote.ready(60.0)[0], 9)
    snapshot.write()
    held = (partial / "buffers.json").read_text()
    assert "f1" in held
    assert "f2" not in held
    partial.rename(final)
    snapshot.kept(partial, final)
    remote.record({"f2": 0.25})
    (pid,) = remote._fleet.all("start")
    os.kill(pid, 9)
    assert remote.known(["f1", "f2", "f3"]) == [True, True, False]
    assert [item.task_id for item in remote.failed(Kind.DEDUCTION, 2, 7, 0.25, 9.0)] == ["t2"]
    remote.close()


@pytest.mark.parametrize("world_size", [1, 2])
def test_the_learners_publication_reaches_a_generator_and_update_moves_it(
    ray_cluster: None,
    tiny_model: Path,
    generators: GeneratorsSection,
    make_requests: MakeRequests,
    make_berth: MakeBerth,
    world_size: int,
    tmp_path: Path,
) -> None:
    config = LearnerSection(threads=1, world_size=world_size)
    spec = LearnerSpec(model_path=str(tiny_model), config=config, dtype="float32", seed=0, timeout_s=60.0)
    berths = [make_berth(f"azr-learner-{i}") for i in range(world_size)]
    learner: Any = started(
        [lambda: RemoteLearner(spec, berths=berths, run=f"l{world_size}", call_timeout_s=60.0, start_timeout_s=120.0)], 180.0
    )[0]
    before = learner.publish(1)
    assert before.manifest.version == 1
    assert all(isinstance(bucket, ray.ObjectRef) for bucket in before.buckets)
    engine = TransformersEngine(tiny_model, generators)
    engine.load(replace(before, buckets=tuple(ray.get(list(before.buckets)))))
    rollouts = engine.generate(make_requests(8))
    batch = [Trajectory(rollout=rollout, reward=0.0, advantage=(-1.0) ** i) for i, rollout in enumerate(rollouts)]
    scalars = learner.update(batch, 1e-3)
    assert scalars["mismatch/max"] <= 1e-3
    after = learner.publish(2).manifest.fingerprint
    assert after != before.manifest.fingerprint
    snapshot = learner.snapshot(tmp_path)
    learner.update(batch, 1e-3)  # a snapshot holds what was when it was taken
    snapshot.write()
    assert learner.publish(3).manifest.fingerprint != after
    learner.load(tmp_path)
    assert learner.publish(4).manifest.fingerprint == after
    learner.close()


def test_a_lost_rank_costs_no_update_and_its_publication_outlives_it(
    ray_cluster: None, tiny_model: Path, generators: GeneratorsSection, make_requests: MakeRequests, make_berth: MakeBerth,
    tmp_path: Path,
) -> None:  # fmt: skip
    spec = LearnerSpec(
        model_path=str(tiny_model), config=LearnerSection(threads=1, world_size=2), dtype="float32", seed=0, timeout_s=60.0
    )
    berths = [make_berth(f"azr-learner-{i}") for i in range(2)]
    where = {"run": "lost-rank", "call_timeout_s": 60.0, "start_timeout_s": 120.0}
    mending = Mending(restarts=3, start_timeout_s=240.0)
    learner: Any = started([lambda: RemoteLearner(spec, berths=berths, mending=mending, **where)], 240.0)[0]
    engine = TransformersEngine(tiny_model, generators)
    engine.load(replace(first := learner.publish(1), buckets=tuple(ray.get(list(first.buckets)))))
    rollouts = engine.generate(make_requests(8))
    batch = [Trajectory(rollout=rollout, reward=0.0, advantage=(-1.0) ** i) for i, rollout in enumerate(rollouts)]
    learner.snapshot(tmp_path / ".partial").write()
    (tmp_path / ".partial").rename(tmp_path / "final")
    learner._fleet.kept(tmp_path / ".partial", tmp_path / "final")
    learner.update(batch, 1e-3)
    second = learner.publish(2)
    os.kill(learner._fleet.gather(learner._fleet.submit("pid", [()], [1]), "pid")[0], 9)
    assert learner.publish(2).manifest.fingerprint == second.manifest.fingerprint
    os.kill(learner._fleet.gather(learner._fleet.submit("pid", [()], [0]), "pid")[0], 9)
    assert verify(second.manifest, ray.get(list(second.buckets)), "this test") is None
    learner.update(batch, 1e-3)
    third = learner.publish(3).manifest.fingerprint
    learner.load(tmp_path / "final")
    for _ in range(2):
        learner.update(batch, 1e-3)
    assert learner.publish(3).manifest.fingerprint == third
    learner.close()
