import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from telemetry.records import StepRecord
from telemetry.wandb_sink import WandbSink
from telemetry.wandb_writer import QUEUE_RECORDS, WandbWriter

Records = Callable[..., StepRecord]


class FakeSink:
    """A W&B that answers nothing until it is let go; what it missed it finds in `files`."""

    def __init__(self, files: list[int]) -> None:
        self.go, self.opening = threading.Event(), threading.Event()
        self.opening.set()
        self.files = files
        self.written: list[int] = []
        self.closed: tuple[str, Mapping[str, float]] | None = None

    def open(self) -> None:
        self.opening.wait()

    def write(self, record: StepRecord) -> None:
        self.go.wait()
        if record.global_step > max(self.written, default=0):
            self.written.append(record.global_step)

    def catch_up(self, until: float = float("inf")) -> None:
        self.written += [step for step in self.files if max(self.written, default=0) < step <= until]

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        self.closed = (status, summary)


def make(files: list[int], told: list[str], patience_s: float = 30.0) -> tuple[FakeSink, WandbWriter]:
    sink = FakeSink(files)
    return sink, WandbWriter(cast(WandbSink, cast(Any, sink)), told.append, patience_s)


def test_records_arrive_in_order_and_once_although_wandb_hung_for_long(make_record: Records) -> None:
    told: list[str] = []
    files: list[int] = []
    sink, writer = make(files, told)
    for step in range(1, 4 * QUEUE_RECORDS):
        files.append(step)
        writer.write(make_record(step))
    sink.go.set()
    writer.close("finished", {"a": 1.0})
    assert sink.written == files
    assert sink.closed == ("finished", {"a": 1.0})
    assert not told


def test_a_hanging_wandb_holds_up_neither_the_steps_nor_the_end(make_record: Records) -> None:
    told: list[str] = []
    sink, writer = make([], told, patience_s=0.2)
    record = make_record(1)
    begun = time.monotonic()
    for _ in range(10 * QUEUE_RECORDS):
        writer.write(record)
    assert time.monotonic() - begun < 5
    threading.Timer(1.0, sink.go.set).start()  # as the end of its service ends the calls that wait for it
    writer.close("finished", {})
    assert told == ["W&B did not end within 0.2 s and is left; `wandb sync` uploads its folder later"]


def test_a_wandb_that_takes_long_to_start_holds_up_nothing_and_gets_every_record(make_record: Records) -> None:
    files: list[int] = []
    sink = FakeSink(files)
    sink.opening.clear()
    sink.go.set()
    writer = WandbWriter(cast(WandbSink, cast(Any, sink)), pytest.fail, 30.0)
    for step in range(1, 2 * QUEUE_RECORDS):
        files.append(step)
        writer.write(make_record(step))
    assert not sink.written
    sink.opening.set()
    writer.close("finished", {})
    assert sink.written == files
