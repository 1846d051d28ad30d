"""A second clock for the determinism check: shifts what Python programs can read of the time, before they are loaded.

`datetime` is made to run on `time` (its C twin reads the kernel's clock itself), so that both agree.
"""

import sys
import time
from collections.abc import Callable
from typing import Any


def shift_clock(offset_s: float) -> None:
    """Every function of `time` that tells the time tells it `offset_s` later from now on; to be called once."""
    sys.modules["_datetime"] = None  # type: ignore[assignment]
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        _replace(name, _later(getattr(time, name), offset_s))
        _replace(f"{name}_ns", _later(getattr(time, f"{name}_ns"), int(offset_s * 1e9)))
    _replace("clock_gettime", _later_of(time.clock_gettime, offset_s))
    _replace("clock_gettime_ns", _later_of(time.clock_gettime_ns, int(offset_s * 1e9)))
    for name in ("gmtime", "localtime", "ctime"):
        _replace(name, _of_now(getattr(time, name)))
    for name, number in (("asctime", 0), ("strftime", 1)):
        _replace(name, _of_local_now(getattr(time, name), number))


def _replace(name: str, function: Callable[..., Any]) -> None:
    setattr(time, name, function)


def _later(read: Callable[[], Any], offset: float) -> Callable[[], Any]:
    return lambda: read() + offset


def _later_of(read: Callable[[int], Any], offset: float) -> Callable[[int], Any]:
    return lambda clock: read(clock) + offset


def _of_now(convert: Callable[..., Any]) -> Callable[..., Any]:
    return lambda seconds=None: convert(time.time() if seconds is None else seconds)


def _of_local_now(form: Callable[..., Any], num_leading: int) -> Callable[..., Any]:
    return lambda *args: form(*args) if len(args) > num_leading else form(*args, time.localtime())
