"""Adds to the trace of a run what its actors were busy with: who worked, and who waited for whom."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Protocol, runtime_checkable

from telemetry.records import Span, StepRecord
from telemetry.trace import TraceSink

SHORTEST_S = 1e-3  # shorter calls are not worth a line each


@runtime_checkable
class Busy(Protocol):
    """A part whose actors are watched from outside (actors.proxies)."""

    def take_busy(self) -> list[tuple[str, Span]]: ...


class ActorTrace:
    """A sink of `TelemetryHub.attached`; each record brings what happened since the one before."""

    def __init__(self, trace: TraceSink, parts: Sequence[object]) -> None:
        self._trace = trace
        self._parts = [part for part in parts if isinstance(part, Busy)]

    def write(self, record: StepRecord) -> None:
        args = {"global_step": record.global_step, "step": record.step, "version": record.version}
        for part in self._parts:
            busy = sorted(part.take_busy(), key=itemgetter(0))
            for actor, spans in groupby(busy, key=itemgetter(0)):
                self._trace.add(actor, [span for _, span in spans if span.seconds >= SHORTEST_S], args)
