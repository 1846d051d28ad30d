"""Generators for the asynchronous pipeline: an engine loop per actor, and the driver's side of it.

    driver    submit: requests of one turn of its event loop go out in one call ──▶ actor: engine loop
              load: references of the buckets ────────────────────────────────────▶ fetched while the engine goes on
              collect: one call is always open ◀── whatever is done, at the latest after `BEAT_S`, with the health

Invariant: every request that was submitted comes back through `collect` once, or its future fails: with GeneratorDied when
the process is gone, else with what went wrong. A process that is gone is made anew by the fleet (actors.elastic). Who is
chosen, how long one waits, and which weights one that was made anew gets is the router's business.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError

from actors.deadline import RESUME, ActorLost, cause_of_death, first_line
from actors.engine_loop import EngineLoop
from actors.engines import make_engine
from configs.errors import UserError
from configs.play_sections import ModelSection
from configs.system_sections import GeneratorsSection
from learner.weights import Publication
from selfplay.pipeline.protocols import GeneratorDied, Health
from tasks.records import Request, Rollout

BEAT_S = 2.0
Asked = tuple[int, Request, int]  # the driver's key, the request, the oldest version
Answer = tuple[int, Rollout | UserError]


class StreamingGeneratorActor:
    """One engine in one process; all methods share one event loop, the engine has a thread of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._done: asyncio.Queue[Answer] = asyncio.Queue()
        self._engine_loop: EngineLoop | None = None
        self._timeout_s = 0.0
        self._works: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return self._name  # Ray's log prefix

    async def start(
        self,
        model_path: str,
        generators: GeneratorsSection,
        model: ModelSection,
        swap: Literal["drain", "keep"],
        timeout_s: float,
    ) -> int:
        """Builds and warms the engine and begins to serve; returns this process' id."""
        self._timeout_s = timeout_s
        build = partial(make_engine, model_path, generators, model, self._name)
        engine = await asyncio.get_running_loop().run_in_executor(self._thread, build)
        self._engine_loop = EngineLoop(engine, self._name, swap, self._thread)
        self._works.append(asyncio.create_task(self._engine_loop.serve()))
        return os.getpid()

    async def submit(self, asked: Sequence[Asked]) -> None:
        for key, request, oldest in asked:
            self._serving().submit(request, oldest).add_done_callback(partial(self._answered, key))

    async def load(self, publication: Publication) -> None:
        """Fetches the buckets (zero-copy views of the object store); the engine takes them when it is ready."""
        self._works.append(asyncio.create_task(self._fetch(publication)))

    async def collect(self) -> tuple[list[Answer], Health]:
        """What is done by now; waits for something at most a beat. Raises what broke the engine or a load."""
        answers: list[Answer] = []
        try:
            async with asyncio.timeout(BEAT_S):
                answers.append(await self._done.get())
        except TimeoutError:
            pass
        while not self._done.empty():
            answers.append(self._done.get_nowait())
        for work in [work for work in self._works if work.done()]:
            self._works.remove(work)
            work.result()
        return answers, self._serving().health()[0]

    async def close(self) -> None:
        for work in self._works:
            work.cancel()
        if self._engine_loop is not None:
            await asyncio.to_thread(self._engine_loop.close)

    async def _fetch(self, publication: Publication) -> None:
        async def buckets() -> tuple[Any, ...]:
            return tuple([await bucket for bucket in publication.buckets])

        try:
            fetched = await asyncio.wait_for(buckets(), self._timeout_s)
        except TimeoutError:
            raise UserError(
                f"{self._name} got no weights of version {publication.manifest.version} from azr-learner-0 within "
                f"{self._timeout_s:g} s; look at the object store and the network, or raise cluster.call_timeout_s; {RESUME}"
            ) from None
        self._serving().load(replace(publication, buckets=fetched))

    def _answered(self, key: int, answer: asyncio.Future[Rollout]) -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            self._done.put_nowait((key, answer.result()))
        else:
            self._done.put_nowait((key, error if isinstance(error, UserError) else UserError(first_line(error))))

    def _serving(self) -> EngineLoop:
        if self._engine_loop is None:
            raise RuntimeError(f"{self._name} was not started")
        return self._engine_loop


class StreamingProxy:
    """The driver's side of one actor; implements StreamingGenerator and Revivable of `selfplay.pipeline.protocols`."""

    def __init__(self, actor: Any, name: str, anew: Callable[[ActorLost], Any]) -> None:
        """`anew`: the actor that takes its place; blocks. Raises GeneratorDied where none does."""
        self._actor, self._name, self._anew = actor, name, anew
        self._why = ""
        self._open: dict[int, asyncio.Future[Rollout]] = {}
        self._outbox: list[Asked] = []
        self._num_asked = 0
        self._dead = False
        self._health = Health(name=name, version=-1)

    def submit(self, request: Request, oldest: int) -> asyncio.Future[Rollout]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Rollout] = loop.create_future()
        if self._dead:
            future.set_exception(GeneratorDied(self._name))
            return future
        self._num_asked += 1
        self._open[self._num_asked] = future
        if not self._outbox:
            loop.call_soon(self._send)
        self._outbox.append((self._num_asked, request, oldest))
        return future

    def load(self, publication: Publication) -> None:
        self._send()  # what was submitted before it may begin before it
        self._actor.load.remote(publication)

    def health(self) -> Sequence[Health]:
        return [replace(self._health, in_flight=len(self._open))]

    async def serve(self) -> None:
        while True:
            for key, answer in await self._collected():
                self._settle(self._open.pop(key), answer)

    async def take(self, publication: Publication, timeout_s: float) -> int:
        """Before anything is asked of it: returns once it has these weights, with the version that it serves then."""
        self._actor.load.remote(publication)
        try:
            async with asyncio.timeout(timeout_s):
                while self._health.version < publication.manifest.version:
                    await self._collected()
        except TimeoutError:
            raise UserError(
                f"{self._name} has not taken version {publication.manifest.version} within {timeout_s:g} s; look at its log, "
                "or raise cluster.call_timeout_s on a slow machine"
            ) from None
        return self._health.version

    def kill(self, why: str) -> None:
        self._why = why
        ray.kill(self._actor, no_restart=True)

    async def revive(self) -> None:
        lost = ActorLost(f"{self._name} {self._why}; {RESUME}", [self._name], self._why)
        self._actor = await asyncio.to_thread(self._anew, lost)
        self._dead, self._why, self._outbox = False, "", []
        self._health = Health(name=self._name, version=-1)

    async def _collected(self) -> list[Answer]:
        try:
            answers, self._health = await self._actor.collect.remote()
        except (ActorDiedError, ActorUnavailableError) as error:
            self._bury(f"died ({cause_of_death(error)})")
            raise GeneratorDied(f"{self._name} {self._why}") from error
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            what = f"{type(error.cause).__name__}: {first_line(error.cause)}"
            raise UserError(f"{self._name} failed: {what}; {RESUME}") from error
        except RayError as error:
            raise UserError(f"{self._name} was lost: {type(error).__name__}: {first_line(error)}; {RESUME}") from error
        return list(answers)

    def _settle(self, future: asyncio.Future[Rollout], answer: Rollout | UserError) -> None:
        if future.done():
            return
        if isinstance(answer, Rollout):
            future.set_result(answer)
        else:
            future.set_exception(answer)

    def _send(self) -> None:
        if self._outbox and not self._dead:
            asked, self._outbox = self._outbox, []
            self._actor.submit.remote(asked)

    def _bury(self, why: str) -> None:
        self._dead, self._why = True, self._why or why
        lost, self._open = list(self._open.values()), {}
        for future in lost:
            if not future.done():
                future.set_exception(GeneratorDied(self._name))
