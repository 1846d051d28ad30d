"""Discrete events: a clock that jumps from one thing that happens to the next, and processes that sleep on it.

A process is a generator that yields seconds to sleep, or a Signal to be woken by. Invariant: what is due at the same moment
happens in the order in which it was asked for, so that a seed gives one history. Knows nothing of what is modelled.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

Process: TypeAlias = "Generator[float | Signal, None, None]"


@dataclass(slots=True)
class Event:
    """Something that will happen, unless it is cancelled before."""

    callback: Callable[[], object] | None

    def cancel(self) -> None:
        self.callback = None


@dataclass(slots=True)
class Signal:
    """Wakes, once, every process that waits for it when it is set."""

    waiting: list[Process] = field(default_factory=list)


class Timeline:
    """`time` and `call_at` are those of an asyncio event loop: what runs on either need not know which."""

    def __init__(self) -> None:
        self._now = 0.0
        self._events: list[tuple[float, int, Event]] = []
        self._numbers = count()

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> Event:
        event = Event(callback)
        heappush(self._events, (max(when, self._now), next(self._numbers), event))
        return event

    def start(self, process: Process) -> None:
        """Goes on with a process until it sleeps, waits or ends."""
        for wish in process:
            if isinstance(wish, Signal):
                wish.waiting.append(process)
            else:
                self.call_at(self._now + wish, lambda: self.start(process))
            return

    def set(self, signal: Signal) -> None:
        waiting, signal.waiting = signal.waiting, []
        for process in waiting:
            self.call_at(self._now, lambda process=process: self.start(process))  # type: ignore[misc]

    def run(self) -> None:
        """Until nothing more can happen."""
        while self._events:
            self._now, _, event = heappop(self._events)
            if event.callback is not None:
                event.callback()
