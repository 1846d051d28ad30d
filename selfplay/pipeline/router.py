"""Several generators behind one: each request goes to the one that has the fewest in flight.

    submit ──▶ waiting, by step ──room, fewest in flight──▶ generator ──▶ the caller's future
                  ▲                                            │ died: again elsewhere, same seed, at most `retries` times
                  └────────────────────────────────────────────┘

A slow generator therefore gets less and holds nobody else's work; one that is silent with requests in flight for
`request_timeout_s` is killed, and counts as dead. Who died is made anew, given the newest weights, and joins again; where
that cannot be, the others go on, and the last one's end is the run's. Later steps wait behind earlier ones.

Generators may come and go meanwhile: who is retired gets nothing new, and what it has not answered within its grace is
asked of the others. Invariant: a request is answered once, through any sequence of these. Knows neither Ray nor engines.
"""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
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
class Job:
    """One request on its way; `moves`: how many generators died with it."""

    request: Request
    oldest: int
    future: asyncio.Future[Rollout]
    moves: int = 0


@dataclass(slots=True)
class Seat:
    """One generator; `since`: when it last answered, or got work while idle."""

    number: int
    name: str
    generator: StreamingGenerator
    since: float = 0.0
    held: dict[asyncio.Future[Rollout], Job] = field(default_factory=dict)
    alive: bool = True  # it gets requests
    reviving: bool = False
    leaving: bool = False
    gone: bool = False  # it will not come back
    empty: asyncio.Event = field(default_factory=asyncio.Event)  # set once it holds nothing while it leaves
    serving: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        return len(self.held)


class Router:
    """Implements `StreamingGenerator` over the named ones."""

    def __init__(self, generators: Mapping[str, StreamingGenerator], section: PipelineSection) -> None:
        self._seats: dict[int, Seat] = {}  # by number, which is given once
        self._freest: list[tuple[int, int]] = []  # of the living, by requests in flight: in order
        self._section = section
        self._waiting: list[tuple[int, int, Job]] = []
        self._numbers, self._seat_numbers = count(), count()
        self._all_gone = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self.newest: Publication | None = None
        for name, generator in generators.items():
            self.add(name, generator)

    def add(self, name: str, generator: StreamingGenerator) -> None:
        """From now on it gets requests; it is given the newest weights first."""
        assert all(seat.name != name for seat in self._seats.values()), f"{name} is here already"
        seat = Seat(next(self._seat_numbers), name, generator)
        self._seats[seat.number] = seat
        self._freest.append((0, seat.number))
        self._freest.sort()
        if self.newest is not None:
            generator.load(self.newest)
        if self._group is not None:
            seat.serving = self._group.create_task(self._serve(seat))
        self._dispatch()

    async def retire(self, name: str, grace_s: float) -> int:
        """Returns once it holds nothing and is not served any more: how many of its requests were left to the others."""
        seat = next(seat for seat in self._seats.values() if seat.name == name)
        seat.leaving = True
        self._bury(seat)
        if seat.held:
            with suppress(TimeoutError):
                await asyncio.wait_for(seat.empty.wait(), grace_s)
        left = [job for job in seat.held.values() if not job.future.done()]
        seat.held.clear()
        seat.gone = True
        for job in left:
            self._queue(job)
        self._dispatch()
        if seat.serving is not None:
            if not seat.reviving:  # what is being made anew can be ended only when it is there
                seat.serving.cancel()
            await asyncio.wait({seat.serving})
        del self._seats[seat.number]
        self._look_for_the_last()
        return len(left)

    def gone(self) -> frozenset[str]:
        """Who died and will not come back."""
        return frozenset(seat.name for seat in self._seats.values() if seat.gone and not seat.leaving)

    def submit(self, request: Request, oldest: int) -> asyncio.Future[Rollout]:
        job = Job(request, oldest, asyncio.get_running_loop().create_future())
        self._queue(job)
        self._dispatch()
        return job.future

    def load(self, publication: Publication) -> None:
        self.newest = publication
        for seat in self._seats.values():
            if seat.alive or seat.leaving:
                seat.generator.load(publication)

    def health(self) -> Sequence[Health]:
        return [replace(seat.generator.health()[0], name=seat.name, alive=seat.alive) for seat in self._seats.values()]

    async def serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            for seat in self._seats.values():
                seat.serving = group.create_task(self._serve(seat))
            group.create_task(self._watch())
            await self._all_gone.wait()
            raise UserError(f"all generators are gone ({', '.join(seat.name for seat in self._seats.values())}); {RESUME}")

    def close(self) -> None:
        for seat in self._seats.values():
            close = getattr(seat.generator, "close", None)
            if close is not None:
                close()

    async def _serve(self, seat: Seat) -> None:
        while not seat.gone:
            try:
                await seat.generator.serve()
            except GeneratorDied:
                self._bury(seat)
                if seat.leaving:
                    return
                seat.reviving = True
                await self._revive(seat)
                seat.reviving = False

    async def _revive(self, seat: Seat) -> None:
        """It serves only what asks for a version that it has: the newest, to begin with."""
        try:
            if not isinstance(seat.generator, Revivable):
                raise GeneratorDied(seat.name)
            await seat.generator.revive()
        except GeneratorDied:
            seat.gone = True
            self._look_for_the_last()
            return
        if seat.leaving:
            return
        seat.alive = True
        insort(self._freest, (seat.in_flight, seat.number))
        if self.newest is not None:
            seat.generator.load(self.newest)
        self._dispatch()

    def _look_for_the_last(self) -> None:
        if all(seat.gone for seat in self._seats.values()):
            self._all_gone.set()

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
        answer = seat.generator.submit(job.request, job.oldest)
        seat.held[answer] = job
        self._reorder(seat, -1)
        answer.add_done_callback(partial(self._answered, seat))

    def _answered(self, seat: Seat, answer: asyncio.Future[Rollout]) -> None:
        error = None if answer.cancelled() else answer.exception()
        job = seat.held.pop(answer, None)
        if job is None:  # it was left to the others
            return
        self._reorder(seat, 1)
        seat.since = self._now()
        if seat.leaving and not seat.held:
            seat.empty.set()
        if isinstance(error, GeneratorDied):
            self._bury(seat)
            self._again(job, moves=0 if seat.leaving else 1)
        elif job.future.done() or answer.cancelled():
            job.future.cancel()
        elif error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(answer.result())
        self._dispatch()

    def _again(self, job: Job, moves: int) -> None:
        job.moves += moves
        if job.future.done():
            return
        if job.moves > self._section.retries:
            job.future.set_exception(RequestLost("generator_died"))
        else:
            self._queue(job)

    def _queue(self, job: Job) -> None:
        heappush(self._waiting, (job.request.step, next(self._numbers), job))

    def _reorder(self, seat: Seat, before: int) -> None:
        """It held so many more `before`. A look at every seat for every request would cost more than all else here."""
        if seat.alive:
            del self._freest[bisect_left(self._freest, (seat.in_flight + before, seat.number))]
            insort(self._freest, (seat.in_flight, seat.number))

    def _bury(self, seat: Seat) -> None:
        if seat.alive:
            self._freest.remove((seat.in_flight, seat.number))
        seat.alive = False

    def _living(self) -> list[Seat]:
        return [seat for seat in self._seats.values() if seat.alive]

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
