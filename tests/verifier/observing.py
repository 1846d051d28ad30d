"""What a test sees of the sandbox from outside: processes and descriptors; and how it disturbs them."""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from unittest.mock import patch

import psutil

from verifier.sandbox.host import Ended
from verifier.sandbox.pool import Pool

OTHERS: set[int] = set()


def descriptors() -> set[str]:
    found = {name: f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")}
    return {f"{name}:{os.readlink(path)}" for name, path in found.items() if int(name) > 2 and os.path.islink(path)}


SPARE = 2  # other tests of this process may have left threads that open a socket now and then


def leaked(before: set[str]) -> set[str]:
    """The descriptors that were not there before, where they are more than the spare ones."""
    new = descriptors() - before
    return new if len(new) > SPARE else set()


def servers() -> list[psutil.Process]:
    """The fork servers of this process that this test has started (`conftest.py` names the others)."""
    return [child for child in psutil.Process().children() if child.pid not in OTHERS and serves(child)]


def serves(process: psutil.Process) -> bool:
    try:
        return lives_on(process) and "sandbox.server" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def lives_on(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def have_ended(processes: list[psutil.Process], within_s: float = 3.0) -> bool:
    until = monotonic() + within_s
    while any(map(lives_on, processes)) and monotonic() < until:
        sleep(0.01)
    return not any(map(lives_on, processes))


@contextmanager
def signalled(delay_s: float, handler: Callable[[int, object], None]) -> Iterator[None]:
    """The handler is called in this thread, once, at a moment that the code within does not choose."""
    previous = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(delay_s, signal.pthread_kill, (threading.main_thread().ident, signal.SIGUSR1))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGUSR1, previous)


@contextmanager
def struck(order: signal.Signals, every: tuple[int, int]) -> Iterator[list[int]]:
    """One of the servers is sent a signal each time that so many runs have ended. Yields whom it met.

    By runs and not by the clock: where a start takes longer than the time between two signals, no server would ever serve.
    """
    met, rng = list[int](), random.Random(0)
    take, left = Pool._take, rng.randint(*every)

    def strike(pool: Pool, ended: Ended) -> None:
        nonlocal left
        take(pool, ended)
        left -= 1
        if left <= 0 and (alive := servers()):
            left = rng.randint(*every)
            met.append(rng.choice(alive).pid)
            sleep(rng.uniform(0, 0.005))
            with suppress(ProcessLookupError):
                os.kill(met[-1], order)

    with patch.object(Pool, "_take", strike):
        yield met
