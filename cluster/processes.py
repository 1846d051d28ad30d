"""Stop signals, and the certainty that no process this one started outlives it."""

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

from cluster.crash import Terminated

GRACE_S = 15.0


def raise_on_stop_signals() -> None:
    """SIGINT raises KeyboardInterrupt and SIGTERM Terminated; called again after Ray has put its own handlers in place."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated(f"signal {signum}")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Stop signals are ignored inside: what is being ended here has deadlines, and half an ending leaves processes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def descendants() -> set[psutil.Process]:
    """Children of this process and theirs. To be listed before parents go away and leave their children to init."""
    return set(psutil.Process().children(recursive=True))


def end_processes(processes: Iterable[psutil.Process], grace_s: float = GRACE_S) -> None:
    """Waits for them to end by themselves, and kills those that have not after `grace_s`."""
    _, staying = psutil.wait_procs(list(processes), timeout=grace_s)
    for process in staying:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(staying, timeout=GRACE_S)
