"""W&B on a thread of its own: whatever W&B waits for, a network or its own service, the run does not wait.

    the thread ──open──▶ WandbSink, while the run goes on
    run ──write──▶ queue, bounded and never waited for ──▶ the thread ──▶ WandbSink ──▶ W&B's service

Invariants: records reach the sink in order and once. A record that finds the queue full is left to the event files, which
have everything, and the thread makes it up from there. `close` waits for W&B at most `patience_s`; then it ends W&B's own
service, which ends whatever call still waits for it, and W&B's own files can be uploaded later with `wandb sync`.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Full, Queue
from threading import Event, Thread

import psutil

from telemetry.jsonl import BEFORE_ALL
from telemetry.records import StepRecord
from telemetry.wandb_sink import WandbSink

QUEUE_RECORDS = 64
PATIENCE_S = 120.0
SERVICE = "wandb-core"
END_S = 10.0  # for calls to fail once their service is gone


class WandbWriter:
    """Opens `sink` and drives it; nobody else does. `warn` takes the line about a W&B that did not end in time."""

    def __init__(self, sink: WandbSink, warn: Callable[[str], None], patience_s: float = PATIENCE_S) -> None:
        self._sink = sink
        self._warn = warn
        self._patience_s = patience_s
        self._queue: Queue[tuple[StepRecord | None, int]] = Queue(QUEUE_RECORDS)  # with the step of the record before
        self._newest = BEFORE_ALL
        self._given_up = Event()
        self._last: tuple[str, Mapping[str, float]] = ("", {})
        self._thread = Thread(target=self._work, name="azr-wandb", daemon=True)
        self._thread.start()

    def write(self, record: StepRecord) -> None:
        assert self._thread.is_alive(), "the W&B thread has ended; its stack is above"
        with suppress(Full):  # the next record that finds a place says that this one was before it
            self._queue.put_nowait((record, self._newest))
        self._newest = record.global_step

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        self._last = (status, summary)
        if not self._ended_within(self._patience_s):
            self._warn(f"W&B did not end within {self._patience_s:g} s and is left; `wandb sync` uploads its folder later")
            self._given_up.set()
            _end_service()
            self._ended_within(END_S)

    def _ended_within(self, seconds: float) -> bool:
        ends = time.monotonic() + seconds
        with suppress(Full):  # a W&B that hangs takes nothing from the queue
            self._queue.put((None, self._newest), timeout=seconds)
        self._thread.join(max(0.0, ends - time.monotonic()))
        return not self._thread.is_alive()

    def _work(self) -> None:
        self._sink.open()
        handled = BEFORE_ALL
        record, before = self._queue.get()
        while record is not None:
            if not self._given_up.is_set():
                if before != handled:
                    self._sink.catch_up(record.global_step)
                self._sink.write(record)
                handled = record.global_step
            record, before = self._queue.get()
        if before != handled and not self._given_up.is_set():
            self._sink.catch_up()
        self._sink.close(*self._last)


def _end_service() -> None:
    for child in psutil.Process().children(recursive=True):
        try:
            if child.name() == SERVICE:
                child.kill()
        except psutil.Error:
            continue  # it has gone by itself
