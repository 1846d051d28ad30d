"""One generator as a queueing model: an engine with continuous batching, and how it takes new weights.

    submit ──▶ waiting ──its version is served──▶ engine: `slots` sequences run, the others queue ──▶ done
    load   ──▶ pending ──drain: nothing runs; keep: at once──▶ served, after `load_s` in which nothing is sampled

An engine step gives each running sequence a token and takes step_s + sequence_s · running. With slots = 1 it answers one
request after the other; with sequence_s = 0 a sequence costs nothing (memory bound); with step_s = 0 it makes a fixed number
of tokens a second (compute bound). Invariants: those of actors.engine_loop, whose double this is. It is fluid: a request
joins at once, not at the next step. It runs on any clock, an asyncio event loop or the model's Timeline, and makes no text.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Literal, Protocol

from selfplay.simulation.timeline import Timeline

SOON_S = 1e-7  # what is due within it is due now


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast an engine is."""

    step_s: float
    sequence_s: float = 0.0
    slots: int = 1
    load_s: float = 0.0


class Handle(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle: ...


@dataclass(slots=True)
class Job:
    """`version`: of its first token; `done` is told it once the last of its tokens is made."""

    tokens: float
    oldest: int
    done: Callable[[int], None]
    version: int = -1


class EngineModel:
    """One engine; times in all since it began."""

    def __init__(self, clock: Clock, speed: Speed, swap: Literal["drain", "keep"] = "drain") -> None:
        self._clock, self._speed, self._swap = clock, speed, swap
        self.version = -1
        self.num_swaps = 0
        self.busy_s = self.drain_s = self.pause_s = 0.0
        self._waiting: deque[Job] = deque()
        self._queued: deque[Job] = deque()
        self._running: list[tuple[float, int, Job]] = []  # by the engine step that makes its last token
        self._numbers = count()
        self._steps = 0.0
        self._at = clock.time()  # the time of `_steps`; in the future while weights are loaded
        self._pending = -1
        self._pending_since = 0.0
        self._alarm: Handle | None = None
        self._turning = False

    @property
    def in_flight(self) -> int:
        return len(self._waiting) + len(self._queued) + len(self._running)

    def submit(self, tokens: float, oldest: int, done: Callable[[int], None]) -> None:
        self._waiting.append(Job(tokens, oldest, done))
        self._turn_soon()

    def load(self, version: int) -> None:
        if self._pending <= self.version:
            self._pending_since = self._clock.time()
        self._pending = max(self._pending, version)
        self._turn_soon()

    def _turn_soon(self) -> None:
        """One turn for all that is asked of it in this moment."""
        if not self._turning:
            self._turning = True
            self._clock.call_at(self._clock.time(), self._turn)

    def _turn(self) -> None:
        self._turning = False
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        done = self._advance()
        if self._pending > self.version and (self._swap == "keep" or not (self._running or self._queued)):
            self._take()
        if self._pending <= self.version:
            self._admit()
        done += self._advance()  # what needs no token at all
        if self._running:
            self._alarm = self._clock.call_at(self._next_s(), self._turn)
        elif self._pending > self.version:  # it became free by what needs no token
            self._turn_soon()
        for job in done:
            job.done(job.version)

    def _take(self) -> None:
        now = self._clock.time()
        self.drain_s += now - self._pending_since
        self.pause_s += self._speed.load_s
        self.num_swaps += 1
        self.version = self._pending
        self._at = max(now, self._at) + self._speed.load_s

    def _admit(self) -> None:
        asked, self._waiting = self._waiting, deque()
        for job in asked:
            if job.oldest > self.version:
                self._waiting.append(job)
            else:
                self._queued.append(job)
        self._fill()

    def _fill(self) -> None:
        while self._queued and len(self._running) < self._speed.slots:
            job = self._queued.popleft()
            job.version = self.version
            heappush(self._running, (self._steps + job.tokens, next(self._numbers), job))

    def _advance(self) -> list[Job]:
        """Samples up to now; what is done by it. A late call changes nothing: what ran on did so at its own pace."""
        now, done = self._clock.time(), list[Job]()
        while self._running and (due := self._next_s()) <= now + SOON_S:
            self._sample_until(due, self._running[0][0])
            done.append(heappop(self._running)[2])
            self._fill()
        if self._running and now > self._at:
            self._sample_until(now, self._steps + (now - self._at) / self._step_s())
        self._at = max(self._at, now)
        return done

    def _sample_until(self, when: float, steps: float) -> None:
        self.busy_s += when - self._at
        self._at, self._steps = when, steps

    def _next_s(self) -> float:
        """When the first of the running sequences has all its tokens."""
        return self._at + (self._running[0][0] - self._steps) * self._step_s()

    def _step_s(self) -> float:
        return self._speed.step_s + self._speed.sequence_s * len(self._running)


def makespan(speed: Speed, tokens: Sequence[float]) -> float:
    """Seconds that one engine takes for requests that all come at once."""
    timeline = Timeline()
    engine = EngineModel(timeline, speed)
    engine.load(0)
    ends: list[float] = []
    for number in tokens:
        engine.submit(number, 0, lambda version: ends.append(timeline.time()))
    timeline.run()
    return max(ends, default=0.0) - speed.load_s
