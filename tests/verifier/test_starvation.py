"""Verdicts beside programs that take the processor: load alone makes no timeout, and none escapes its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.verifier.pools import HANG, SLEEP
from verifier.sandbox import pool as pool_module
from verifier.sandbox.host import Running
from verifier.sandbox.pool import Job, Pool
from verifier.sandbox.server import NICE

TIMEOUT_S = 1.0
WORK = """
    import time
    def f(cpu_s):
        while time.process_time() < cpu_s: pass
        return 1
    """.replace("\n    ", "\n")
NEEDS_MUCH = Job(program=WORK, arguments=str(0.8 * TIMEOUT_S))  # at a third of a processor or less, more than it has
told = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel tells no /proc/PID/schedstat")


@pytest.fixture
def crowded() -> Iterator[None]:
    """One processor for this process and all that it starts, shared with two others that never rest.

    Each of the two has a session of its own: where the kernel shares processors among sessions first, whatever the priority
    of this one, none gets more than a third.
    """
    before = os.sched_getaffinity(0)
    others: list[subprocess.Popen[bytes]] = []
    try:
        os.sched_setaffinity(0, {min(before)})
        for _ in range(2):
            others.append(subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True))
            os.setpriority(os.PRIO_PROCESS, others[-1].pid, NICE)
        yield
    finally:
        os.sched_setaffinity(0, before)
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.slow
@told
def test_a_program_that_is_kept_waiting_is_no_timeout_and_one_without_end_is(
    crowded: None, make_pool: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "PATIENCE", 1000)  # others may crowd this machine too
    needs_much, hang, sleep = make_pool(timeout_s=TIMEOUT_S).run([NEEDS_MUCH, HANG, SLEEP])
    assert (needs_much.status, hang.status, sleep.status) == ("ok", "timeout", "timeout")
    assert needs_much.wall_s > TIMEOUT_S  # it was kept waiting
    assert TIMEOUT_S <= sleep.wall_s < hang.wall_s  # a sleeper does not wait for a processor


@pytest.mark.slow
def test_where_the_kernel_does_not_tell_the_limit_is_of_the_clock(
    crowded: None, make_pool: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Running(token=1, socket=None, started=0.0, due=0.0, process=1 << 30).waited_s() == 0.0  # type: ignore[arg-type]
    monkeypatch.setattr(Running, "waited_s", lambda run: 0.0)
    [result] = make_pool(timeout_s=TIMEOUT_S).run([NEEDS_MUCH])
    assert result.status == "timeout"


def test_no_program_is_waited_for_without_end(make_pool: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Running, "waited_s", lambda run: 1e9)
    [result] = make_pool(timeout_s=0.05).run([SLEEP])
    assert result.status == "timeout"
    assert result.wall_s >= 0.05 * pool_module.PATIENCE
