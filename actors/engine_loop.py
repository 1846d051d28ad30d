"""One engine that is stepped by hand: requests join while others run, and new weights come between two steps.

                submit ──▶ waiting ──the version is new enough──▶ engine ──step──▶ rollouts ──▶ futures
                load   ──▶ pending ──drain: the running ones are done; keep: at once──▶ engine.load

Invariants: the engine is touched by one thread only, and by one call at a time; while weights wait to be taken nothing is
admitted, so that a request starts with the newest weights that were offered before it. Under `keep` the running requests
go on with the new weights from their next token on; what the engine knows of their beginnings is computed anew, so that
each token's logprob is that of its version. Knows no Ray: it runs in this process as well as in an actor.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal, Protocol

from configs.errors import UserError
from learner.weights import Publication
from selfplay.pipeline.protocols import Health
from tasks.records import Request, Rollout

CLOSE_TIMEOUT_S = 30.0


class StepEngine(Protocol):
    """An engine with continuous batching. Keys are the caller's."""

    version: int

    @property
    def num_running(self) -> int: ...

    def add(self, key: int, request: Request) -> None:
        """Takes a request; raises what is wrong with it, and then holds nothing of it."""

    def step(self) -> list[tuple[int, Rollout]]:
        """Works on all that it holds; those that are done."""

    def load(self, publication: Publication) -> None:
        """Also with requests running."""

    def close(self) -> None: ...


class EngineLoop:
    """Implements `selfplay.pipeline.protocols.StreamingGenerator` over one engine."""

    def __init__(self, engine: StepEngine, name: str, swap: Literal["drain", "keep"], thread: ThreadPoolExecutor) -> None:
        """`thread`: the engine's own, with one worker."""
        self._engine, self._name, self._swap, self._thread = engine, name, swap, thread
        self._waiting: deque[tuple[Request, int, asyncio.Future[Rollout]]] = deque()
        self._running: dict[int, asyncio.Future[Rollout]] = {}
        self._pending: Publication | None = None
        self._work = asyncio.Event()
        self._num_added = self._num_swaps = 0
        self._pending_since = self._drain_s = self._pause_s = 0.0

    def submit(self, request: Request, oldest: int) -> asyncio.Future[Rollout]:
        future: asyncio.Future[Rollout] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, oldest, future))
        self._work.set()
        return future

    def load(self, publication: Publication) -> None:
        if self._pending is None:
            self._pending_since = time.perf_counter()
        self._pending = publication
        self._work.set()

    def health(self) -> Sequence[Health]:
        in_flight = len(self._waiting) + len(self._running)
        health = Health(name=self._name, version=self._engine.version, in_flight=in_flight)
        return [replace(health, swaps=self._num_swaps, drain_s=self._drain_s, pause_s=self._pause_s)]

    async def serve(self) -> None:
        """Sleeps only where nothing runs and nothing can be begun; `submit` and `load` wake it."""
        while True:
            self._work.clear()
            if self._pending is not None and (self._swap == "keep" or not self._running):
                await self._take(self._pending)
            if self._pending is None:
                self._admit()
            if self._running:
                await self._step()
            elif self._pending is None:
                await self._work.wait()

    def close(self) -> None:
        """To be called when the loop is no longer served; a step that is under way ends first."""
        self._thread.submit(self._engine.close).result(CLOSE_TIMEOUT_S)
        self._thread.shutdown()

    def _admit(self) -> None:
        """In order; those that ask for a version which has not come yet stay."""
        asked, self._waiting = self._waiting, deque()
        for request, oldest, future in asked:
            if oldest > self._engine.version:
                self._waiting.append((request, oldest, future))
            elif not future.done():
                self._add(request, future)

    def _add(self, request: Request, future: asyncio.Future[Rollout]) -> None:
        self._num_added += 1
        try:
            self._engine.add(self._num_added, request)
        except (UserError, ValueError) as error:  # of this request, such as a prompt that is too long
            future.set_exception(error)
        else:
            self._running[self._num_added] = future

    async def _step(self) -> None:
        for key, rollout in await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.step):
            future = self._running.pop(key)
            if not future.done():
                future.set_result(rollout)

    async def _take(self, publication: Publication) -> None:
        """A version that is served already, or was overtaken, is passed over."""
        self._pending = None
        if publication.manifest.version <= self._engine.version:
            return
        begun = time.perf_counter()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.load, publication)
        self._num_swaps += 1
        self._drain_s += begun - self._pending_since
        self._pause_s += time.perf_counter() - begun
