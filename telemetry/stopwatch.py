"""Seconds per stage of one step, whose parts sum to the step.

Invariant: stages do not overlap, so `sum(stages) + unattributed * step == step`. A stage entered twice adds up.
Stages of concurrent loops are not measured here: each loop has its own stopwatch.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from telemetry.records import Span


class Stopwatch:
    """One step's ledger of time; it runs from construction. Make a new one for each step."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start = clock()
        self._unix_s = time.time() - self._start  # of the clock's zero
        self._spans: list[Span] = []
        self._stages: dict[str, float] = {}
        self._open: str | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Attributes the time of the block to `name`, also when the block raises."""
        if name in ("step", "unattributed"):
            raise ValueError(f"stage must be named for what it does, got {name!r}, which the ledger itself uses")
        if self._open is not None:
            raise ValueError(f"stage must not be nested, got {name!r} inside {self._open!r}; close the outer stage first")
        self._open = name
        begin = self._clock()
        try:
            yield
        finally:
            seconds = self._clock() - begin
            self._stages[name] = self._stages.get(name, 0.0) + seconds
            self._spans.append(Span(name=name, begin_s=self._unix_s + begin, seconds=seconds))
            self._open = None

    def seconds(self) -> dict[str, float]:
        """Seconds of each stage so far, `step` (all of them and what lies between), `unattributed` (share of the step)."""
        if self._open is not None:
            raise ValueError(f"seconds must be read between stages, got open stage {self._open!r}")
        step = self._clock() - self._start
        unattributed = max(0.0, step - sum(self._stages.values())) / step if step > 0 else 0.0
        return {**self._stages, "step": step, "unattributed": unattributed}

    def spans(self) -> tuple[Span, ...]:
        """Each stage where it lies in time, the whole `step` first."""
        whole = Span(name="step", begin_s=self._unix_s + self._start, seconds=self._clock() - self._start)
        return (whole, *self._spans)
