"""Several generators behind one: each request goes to the one that has the fewest in flight.

    submit ──▶ waiting, by step ──room, fewest in flight──▶ generator ──▶ the caller's future
                  ▲                                            │ died: again elsewhere, same seed, at most `retries` times
                  └────────────────────────────────────────────┘

A slow generator therefore gets less and holds nobody else's work; one that is silent with requests in flight for
`request_timeout_s` is killed, and counts as dead. Who died is made anew, given the newest weights, and joins again; where
that cannot be, the others go on, and the last one's end is the run's. Later steps wait behind earlier ones. Knows neither
Ray nor engines.
"""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush
from itertools import count

from configs.errors import UserError
from configs.system_sections import PipelineSection
from learner.weights import Publication
from selfplay.pipeline.protocols import GeneratorDied, Health, RequestLost, Revivable, StreamingGenerator
from tasks.records import Request, Rollout

RESUME = "the same command resumes from the last checkpoint"


@dataclass(slots=True)
class Seat:
    """One generator; `since`: when it last answered, or got work while idle."""

    number: int
    name: str
    generator: StreamingGenerator
    since: float = 0.0
    in_flight: int = 0
    alive: bool = True
    gone: bool = False  # it will not come back


@dataclass(slots=True)
class Job:
    """One request on its way; `moves`: how many generators died with it."""

    request: Request
    oldest: int
    future: asyncio.Future[Rollout]
    moves: int = 0


class Router:
    """Implements `StreamingGenerator` over the named ones."""

    def __init__(self, generators: Mapping[str, StreamingGenerator], section: PipelineSection) -> None:
        self._seats = [Seat(number, name, generator) for number, (name, generator) in enumerate(generators.items())]
        self._freest = [(0, seat.number) for seat in self._seats]  # of the living, by requests in flight: in order
        self._section = section
        self._waiting: list[tuple[int, int, Job]] = []
        self._numbers = count()
        self._all_gone = asyncio.Event()
        self._newest: Publication | None = None

    def submit(self, request: Request, oldest: int) -> asyncio.Future[Rollout]:
        job = Job(request, oldest, asyncio.get_running_loop().create_future())
        self._queue(job)
        self._dispatch()
        return job.future

    def load(self, publication: Publication) -> None:
        self._newest = publication
        for seat in self._living():
            seat.generator.load(publication)

    def health(self) -> Sequence[Health]:
        return [replace(seat.generator.health()[0], name=seat.name, alive=seat.alive) for seat in self._seats]

    async def serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            for seat in self._seats:
                group.create_task(self._serve(seat))
            group.create_task(self._watch())
            await self._all_gone.wait()
            raise UserError(f"all generators are gone ({', '.join(seat.name for seat in self._seats)}); {RESUME}")

    def close(self) -> None:
        for seat in self._seats:
            close = getattr(seat.generator, "close", None)
            if close is not None:
                close()

    async def _serve(self, seat: Seat) -> None:
        while not seat.gone:
            try:
                await seat.generator.serve()
            except GeneratorDied:
                self._bury(seat)
                await self._revive(seat)

    async def _revive(self, seat: Seat) -> None:
        """It serves only what asks for a version that it has: the newest, to begin with."""
        try:
            if not isinstance(seat.generator, Revivable):
                raise GeneratorDied(seat.name)
            await seat.generator.revive()
        except GeneratorDied:
            seat.gone = True
            if all(other.gone for other in self._seats):
                self._all_gone.set()
            return
        seat.alive = True
        insort(self._freest, (seat.in_flight, seat.number))
        if self._newest is not None:
            seat.generator.load(self._newest)
        self._dispatch()

    async def _watch(self) -> None:
        """Looks again before anybody can be late by more than a tenth."""
        timeout_s = self._section.request_timeout_s
        while True:
            busy = [seat for seat in self._living() if seat.in_flight]
            silence_s = {seat.name: self._now() - seat.since for seat in busy}
            for seat in busy:
                if silence_s[seat.name] >= timeout_s:
                    self._end(seat, silence_s.pop(seat.name))
            await asyncio.sleep(min(timeout_s - max(silence_s.values(), default=0.0), timeout_s / 10))

    def _end(self, seat: Seat, silence_s: float) -> None:
        """Of one that is silent for too long."""
        generator = seat.generator
        if not isinstance(generator, Revivable):
            raise UserError(f"{self._complaint(seat, silence_s)}; {RESUME}")
        seat.since = self._now()
        generator.kill(f"gave no answer for {silence_s:.0f} s to the {seat.in_flight} requests that it holds")

    def _complaint(self, seat: Seat, silence_s: float) -> str:
        return (
            f"the pipeline waited {silence_s:.0f} s for {seat.name}, which holds {seat.in_flight} requests and serves version "
            f"{seat.generator.health()[0].version}; look at its log, or raise pipeline.request_timeout_s on a slow machine"
        )

    def _dispatch(self) -> None:
        while self._waiting and self._freest and self._freest[0][0] < self._section.in_flight:
            self._send(self._seats[self._freest[0][1]], heappop(self._waiting)[2])

    def _send(self, seat: Seat, job: Job) -> None:
        if job.future.done():  # the caller gave up
            return
        if not seat.in_flight:
            seat.since = self._now()
        self._hold(seat, 1)
        seat.generator.submit(job.request, job.oldest).add_done_callback(partial(self._answered, seat, job))

    def _answered(self, seat: Seat, job: Job, answer: asyncio.Future[Rollout]) -> None:
        self._hold(seat, -1)
        seat.since = self._now()
        error = None if answer.cancelled() else answer.exception()
        if isinstance(error, GeneratorDied):
            self._bury(seat)
            self._again(job)
        elif job.future.done() or answer.cancelled():
            job.future.cancel()
        elif error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(answer.result())
        self._dispatch()

    def _again(self, job: Job) -> None:
        job.moves += 1
        if job.future.done():
            return
        if job.moves > self._section.retries:
            job.future.set_exception(RequestLost("generator_died"))
        else:
            self._queue(job)

    def _queue(self, job: Job) -> None:
        heappush(self._waiting, (job.request.step, next(self._numbers), job))

    def _hold(self, seat: Seat, more: int) -> None:
        """Keeps the order: a look at every seat for every request would cost more than all else here."""
        if seat.alive:
            del self._freest[bisect_left(self._freest, (seat.in_flight, seat.number))]
            insort(self._freest, (seat.in_flight + more, seat.number))
        seat.in_flight += more

    def _bury(self, seat: Seat) -> None:
        if seat.alive:
            self._freest.remove((seat.in_flight, seat.number))
        seat.alive = False

    def _living(self) -> list[Seat]:
        return [seat for seat in self._seats if seat.alive]

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
