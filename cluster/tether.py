"""Runs a command that ends, with every process it started, when the process that began it ends: also by kill -9.

    parent ──▶ tether (a session of its own) ──▶ command ──▶ whatever the command starts

    who ends                  who notices                               what happens
    the parent, however       the kernel sends the tether SIGUSR1       it kills all descendants at once
    nobody, SIGTERM comes     the tether                                SIGTERM to the command; kills all after GRACE_S
    the command               the tether, which waits for it            it kills what is left, and hands on the exit code
    the tether, by kill -9    the kernel                                SIGKILL to the command

Orphans become children of the tether, not of init, so that none escapes by a double fork. Linux only; one thread. It is
`python -m cluster.tether PARENT_PID COMMAND …`.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import psutil

GRACE_S = 30
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
NOT_STARTED, SIGNALLED = 127, 128  # exit codes as a shell has them


def run_tethered(parent: int, command: Sequence[str]) -> int:
    """The command's exit code; 128 + the signal's number when a signal ended it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # what comes before the child is known waits for it
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() != parent:  # it ended before the kernel had been asked
        return SIGNALLED + signal.SIGUSR1
    tether, child = os.getpid(), os.fork()
    if child == 0:
        _become(command, tether)
    _handle_signals(child)
    code = _wait_for(child)
    _kill_descendants()
    return code


def _become(command: Sequence[str], tether: int) -> None:
    """In the child: the command takes its place. Does not return."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        if os.getppid() == tether:
            os.execvp(command[0], list(command))
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be run: {error.strerror}\n")
    os._exit(NOT_STARTED)


def _handle_signals(child: int) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        signal.alarm(GRACE_S)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGUSR1, _kill_all)
    signal.signal(signal.SIGALRM, _kill_all)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def _wait_for(child: int) -> int:
    """Reaps whatever ends until the child does."""
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else SIGNALLED - code


def _kill_all(number: int, frame: FrameType | None) -> None:
    """SIGKILL to what there is now; what is forked meanwhile falls to the end of `run_tethered`."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _kill_descendants() -> None:
    """Kills and reaps until there are none: what a killed one leaves comes up as a child."""
    while psutil.Process().children(recursive=True):
        _kill_all(0, None)
        with contextlib.suppress(ChildProcessError):
            os.wait()


def prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


if __name__ == "__main__":
    sys.exit(run_tethered(int(sys.argv[1]), sys.argv[2:]))
