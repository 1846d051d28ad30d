"""`trace.json`: when each stage of each step ran, for Perfetto and chrome://tracing (Trace Event Format, JSON array).

    [                                      a line per event; the comma stands before it, so that the file is an array
    {"ph": "M", …process_name…}            with or without its last line
    ,{"ph": "X", "name": "solve", "ts": …, "dur": …, "pid": 1, "tid": 2, "args": {"global_step": 7}}
    ]                                      only of a run that was closed

Invariants: what was written stays readable after kill -9 (a torn line is cut off when the run goes on, and viewers do without
the bracket); the events of a lane do not overlap; two files of about MAX_BYTES at most. Steps that a crash undid stay: the time
was spent. Does not: measure (telemetry.stopwatch, actors.fleet).
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from telemetry.records import Span, StepRecord

FILE = "trace.json"
OLDER = "trace.older.json"
MAX_BYTES = 32 * 2**20
RUN = 1  # the one process of the file
STEPS, STAGES = "steps", "stages"
Event = Mapping[str, Any]


class TraceSink:
    """One run's; goes on in the file of an earlier session, with the same lanes."""

    def __init__(self, run_dir: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = run_dir / FILE
        self._max_bytes = max_bytes
        run_dir.mkdir(parents=True, exist_ok=True)
        _mend(self._path)
        self._lanes = _lanes(self._path)
        self._ends: dict[int, int] = {}  # of each lane's last event
        self._file = self._path.open("a", encoding="utf-8")
        if self._file.tell() == 0:
            self._append([_named("process_name", run_dir.name, 0)])

    def write(self, record: StepRecord) -> None:
        if record.spans:
            whole, *stages = record.spans
            args = {"global_step": record.global_step, "step": record.step, "version": record.version}
            self.add(STEPS, [replace(whole, name=f"step {record.step}")], args)
            self.add(STAGES, stages, args)

    def add(self, lane: str, spans: Sequence[Span], args: Mapping[str, int]) -> None:
        """Spans of one lane, in order. OSError as the file system does."""
        if self._file.tell() > self._max_bytes:
            self._turn_over()
        if lane not in self._lanes:
            self._lanes[lane] = max(self._lanes.values(), default=0) + 1
            self._append([_named("thread_name", lane, self._lanes[lane])])
        self._append([self._complete(span, self._lanes[lane], args) for span in spans])

    def close(self) -> None:
        if not self._file.closed:
            self._file.write("]\n")
            self._file.close()

    def _complete(self, span: Span, lane: int, args: Mapping[str, int]) -> Event:
        """Unix time in floats is good to a microsecond, and a clock may be set back: ends are kept from overlapping."""
        begin = max(round(span.begin_s * 1e6), self._ends.get(lane, 0))
        self._ends[lane] = max(round((span.begin_s + span.seconds) * 1e6), begin)
        duration = self._ends[lane] - begin
        return {"ph": "X", "name": span.name, "ts": begin, "dur": duration, "pid": RUN, "tid": lane, "args": dict(args)}

    def _turn_over(self) -> None:
        self.close()
        os.replace(self._path, self._path.with_name(OLDER))
        self._file = self._path.open("a", encoding="utf-8")
        names = [_named("thread_name", lane, number) for lane, number in self._lanes.items()]
        self._append([_named("process_name", self._path.parent.name, 0), *names])

    def _append(self, events: Sequence[Event]) -> None:
        if events:
            lines = "".join(f",{json.dumps(event, allow_nan=False)}\n" for event in events)
            self._file.write(lines if self._file.tell() else f"[\n{lines[1:]}")
            self._file.flush()


def read_events(path: Path) -> list[dict[str, Any]]:
    """The whole events of a file in any state. OSError when there is none."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line.lstrip(",")) for line in lines if line.endswith("}\n")]


def _mend(path: Path) -> None:
    """Cuts off the closing bracket, or a line that was torn."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        data = file.read()
        end = data.rfind(b"}\n") + 2
        file.truncate(end if end > 1 else 0)


def _lanes(path: Path) -> dict[str, int]:
    events = read_events(path) if path.exists() else []
    return {event["args"]["name"]: event["tid"] for event in events if event["name"] == "thread_name"}


def _named(what: str, name: str, lane: int) -> Event:
    return {"ph": "M", "name": what, "pid": RUN, "tid": lane, "args": {"name": name}}
