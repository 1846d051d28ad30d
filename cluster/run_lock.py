"""The lock that keeps two processes from writing one run directory.

Invariant: at most one live process holds it. The lock names its holder by host, pid and process start time, so that the
lock of a killed process (or of a pid that has been given to another program since) is taken over. Reading and writing
it happen under a short `flock`, so that two starters cannot both find it free.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from configs.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    host: str
    pid: int
    started: float  # seconds since the epoch at which the process began, as the kernel tells it

    @property
    def alive(self) -> bool:
        """Whether that very process still runs; unknown on another host, which counts as alive."""
        if self.host != socket.gethostname():
            return True
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < 1.0
        except psutil.NoSuchProcess:
            return False


def this_process() -> Holder:
    return Holder(host=socket.gethostname(), pid=os.getpid(), started=psutil.Process().create_time())


@contextmanager
def run_lock(run_dir: Path) -> Iterator[None]:
    """Holds the run directory for this process; UserError when a live process holds it."""
    path = run_dir / "lock"
    me = this_process()
    _take(path, me)
    try:
        yield
    finally:
        if holder(run_dir) == me:
            path.unlink()


def _take(path: Path, me: Holder) -> None:
    while True:
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # held for microseconds by whoever has it
            if not _same_file(path, file.fileno()):
                continue  # its holder ended and removed it between our open and our flock
            other = holder(path.parent)
            if other is not None and other != me and other.alive:
                raise UserError(
                    f"run directory {path.parent} is being written by process {other.pid} on {other.host}; "
                    f"wait for it, end it, or choose another run.name (if that machine is gone, delete {path})"
                )
            file.truncate(0)
            file.write(json.dumps(asdict(me)))
            file.flush()
            return


def _same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def holder(run_dir: Path) -> Holder | None:
    """Who the lock names; None when it is not there or was cut off while being written (its writer is dead then)."""
    try:
        fields = json.loads((run_dir / "lock").read_text())
        return Holder(host=str(fields["host"]), pid=int(fields["pid"]), started=float(fields["started"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
