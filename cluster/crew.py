"""Commands as processes, a few at a time, each tethered to this process and with its output in a file of its own.

    waiting ──start, at most `at_once`──▶ running ──pidfd becomes readable──▶ ended, handed out

Invariant: when the iteration ends, for whatever reason, none of the commands runs any more (see cluster.tether). The caller
must iterate in its main thread: the kernel ties a tether to the thread that started it.
"""

import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.processes import undisturbed
from cluster.tether import GRACE_S

MARGIN_S = 30.0  # beyond the grace that a tether gives its command


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    name: str
    command: tuple[str, ...]
    log: Path  # appended to


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    job: Job
    code: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    begun: float


def run_jobs(jobs: Sequence[Job], at_once: int, started: Callable[[Job], None]) -> Iterator[Ended]:
    """Each job as it ends, in that order; `started` is told when one begins."""
    waiting, running = deque(jobs), dict[int, _Running]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.popleft()
                process = _start(job)
                running[os.pidfd_open(process.pid)] = _Running(job=job, process=process, begun=time.monotonic())
                started(job)
            for descriptor in _readable(running):
                os.close(descriptor)
                one = running.pop(descriptor)
                yield Ended(job=one.job, code=one.process.wait(), seconds=time.monotonic() - one.begun)
    finally:
        _stop([one.process for one in running.values()])


def last_line(log: Path) -> str:
    """What a command said last: of a failed one, why."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")


def _start(job: Job) -> subprocess.Popen[bytes]:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "cluster.tether", str(os.getpid()), *job.command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _readable(descriptors: Iterable[int]) -> list[int]:
    """Waits until at least one of the processes has ended."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll()]


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """SIGTERM to all, then waits; runs that are stopped so resume as well as any."""
    with undisturbed():
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=GRACE_S + MARGIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
