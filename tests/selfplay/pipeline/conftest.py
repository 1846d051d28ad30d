"""A clock that jumps, generators with any latency, and a pipeline over them: hours of interleavings in milliseconds."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from buffers.buffers import TaskBuffers
from buffers.census import family_traits
from buffers.ledger import Ledger
from configs.schema import RunConfig
from configs.system_sections import PipelineSection
from learner.advantages import make_estimator
from learner.weights import Publication, WeightManifest
from selfplay.accounts import Accounts
from selfplay.loop import Parts
from selfplay.pipeline.credits import Credits
from selfplay.pipeline.events import EventLog
from selfplay.pipeline.learning import Learning, Trained
from selfplay.pipeline.pipeline import Pipeline
from selfplay.pipeline.protocols import GeneratorDied, Health, StreamingGenerator, StreamingParts
from selfplay.pipeline.router import Router
from selfplay.protocols import Generator
from selfplay.seeding import seed_buffers
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Kind, Request, Rollout, Trajectory
from telemetry.stopwatch import Stopwatch

T = TypeVar("T")


class JumpingSelector(selectors.DefaultSelector):
    """Waits by moving the clock. Where nothing is due, nothing will ever happen: a deadlock, and a failed test."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "deadlock: every coroutine waits and no timer runs"
            self.now += max(timeout, 0.0)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = JumpingSelector()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def run_jumping(main: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Its result, and how long it took by the jumping clock."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        result = runner.run(main)
        return result, runner.get_loop().time()


class FakeStreaming:
    """Answers each request after `latency(request)` with a synchronous fake's text; takes `load_s` to take new weights.

    Dies when it has answered `lives` requests; never answers when `hangs`.
    """

    def __init__(
        self,
        texts: Generator,
        latency: Callable[[Request], float],
        load_s: float = 0.0,
        lives: float = float("inf"),
        hangs: bool = False,
        ignores_oldest: bool = False,
    ) -> None:
        self._texts, self._latency, self._load_s = texts, latency, load_s
        self._lives, self._hangs, self._ignores_oldest = lives, hangs, ignores_oldest
        self.version = -1
        self.num_asked = 0
        self._loaded = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.Future[Rollout]] = set()
        self._died = asyncio.Event()

    def submit(self, request: Request, oldest: int) -> asyncio.Future[Rollout]:
        future: asyncio.Future[Rollout] = asyncio.get_running_loop().create_future()
        self.num_asked += 1
        if self._died.is_set():
            future.set_exception(GeneratorDied())
        else:
            self._open.add(future)
            self._spawn(self._answer(request, 0 if self._ignores_oldest else oldest, future))
        return future

    def load(self, publication: Publication) -> None:
        self._spawn(self._take(publication.manifest.version))

    def health(self) -> Sequence[Health]:
        return [Health(name="fake", version=self.version, in_flight=len(self._open))]

    async def serve(self) -> None:
        await self._died.wait()
        raise GeneratorDied

    async def _take(self, version: int) -> None:
        await asyncio.sleep(self._load_s)
        async with self._loaded:
            self.version = max(self.version, version)
            self._loaded.notify_all()

    async def _answer(self, request: Request, oldest: int, future: asyncio.Future[Rollout]) -> None:
        async with self._loaded:
            await self._loaded.wait_for(lambda: self.version >= oldest)
        version = self.version
        await asyncio.sleep(float("1e9") if self._hangs else self._latency(request))
        if future.done():
            return
        self._lives -= 1
        if self._lives < 0:
            self._died.set()
            for other in self._open:
                other.set_exception(GeneratorDied())
            self._open.clear()
            return
        self._open.discard(future)
        future.set_result(replace(self._texts.generate([request])[0], policy_version=version))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class FakeWeights:
    """A learner whose weights are one number and whose fingerprint is that number."""

    def __init__(self) -> None:
        self.weight = 0.0
        self.batches: list[list[Trajectory]] = []

    def update(self, batch: Sequence[Trajectory], lr: float) -> dict[str, float]:
        self.batches.append(list(batch))
        self.weight += lr * (sum(item.advantage * len(item.rollout.completion_ids) for item in batch) + 1)
        return {"lr": lr}

    def publish(self, version: int) -> Publication:
        manifest = WeightManifest(version=version, fingerprint=self.weight.hex(), tensors=())
        return Publication(manifest=manifest, buckets=(np.zeros(1),))


@dataclass(slots=True)
class Inline:
    """Calls in place; a part takes `seconds[part]` of the clock."""

    seconds: Mapping[str, float] = field(default_factory=dict)

    async def __call__(self, stage: str, part: str, function: Callable[..., T], *args: Any) -> T:
        await asyncio.sleep(self.seconds.get(part, 0.0))
        return function(*args)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a whole run of the pipeline came to."""

    trained: list[Trained]
    ends: list[float]  # when each was trained, by the jumping clock
    learner: FakeWeights
    credits: Credits
    seconds: float


@pytest.fixture(scope="session")
def streaming() -> type[FakeStreaming]:
    return FakeStreaming


@pytest.fixture(scope="session")
def jump() -> Callable[..., Any]:
    return run_jumping


Play = Callable[..., Outcome]


@pytest.fixture(scope="session")
def play(build_parts: Callable[[], Parts], family: ArithmeticFamily) -> Play:
    """Plays a whole run on the jumping clock. `generators`: from a synchronous fake to named streaming ones.

    `meanwhile`: what happens to the router that has them, as long as the run goes on.
    """

    def build(
        config: RunConfig,
        run_dir: Path,
        generators: Callable[[Generator], Mapping[str, StreamingGenerator]],
        seconds: Mapping[str, float] | None = None,
        meanwhile: Callable[[Router], Coroutine[Any, Any, None]] | None = None,
    ) -> Outcome:
        parts, learner, trained, ends = build_parts(), FakeWeights(), list[Trained](), list[float]()
        parts = replace(parts, buffers=TaskBuffers([Kind(name) for name in config.family.kinds], 1000, family_traits(family)))
        for _ in seed_buffers(config, family, parts.generator, parts.verifier, parts.buffers):
            pass
        events, ledger = EventLog(run_dir), Ledger(run_dir / "ledger")

        async def record(batch: Trained) -> None:
            trained.append(batch)
            ends.append(asyncio.get_running_loop().time())

        async def main() -> Credits:
            fleet = Router(generators(parts.generator), config.pipeline)
            streaming = StreamingParts(
                generator=fleet, verifier=parts.verifier, buffers=parts.buffers, learner=learner,  # type: ignore[arg-type]
                telemetry=parts.telemetry,
            )  # fmt: skip
            call, watch = Inline(seconds or {}), Stopwatch()
            accounts = Accounts(ledger)
            learning = Learning(config, family, streaming, call, events, accounts, make_estimator("trrpp"))
            pipeline = Pipeline(
                config, family, streaming, call, learning, accounts,
                version=0, tokens=0, on_trained=record, watch=lambda: watch,
            )  # fmt: skip
            publication = learner.publish(0)
            fleet.load(publication)
            events.rewind(0)
            events.begin(0, publication.manifest.fingerprint)
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(fleet.serve())]
                if meanwhile is not None:
                    beside.append(group.create_task(meanwhile(fleet)))
                await pipeline.run()
                for task in beside:
                    task.cancel()
            accounts.rest_dropped("run_over")
            return pipeline.credits

        try:
            credits, took_s = run_jumping(main())
        finally:
            ledger.close()
        return Outcome(trained=trained, ends=ends, learner=learner, credits=credits, seconds=took_s)

    return build


@pytest.fixture
def async_config(small_config: RunConfig) -> Callable[..., RunConfig]:
    """The small run with a pipeline section."""

    def build(**section: Any) -> RunConfig:
        return small_config.model_copy(update={"pipeline": PipelineSection(**section)})

    return build
