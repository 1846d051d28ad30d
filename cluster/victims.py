"""The processes of a run that chaos may end, found below the run's own driver and nowhere else, and what a run leaves behind.

    driver ──▶ raylet ──▶ ray::StreamingGeneratorActor, ray::LearnerActor, ray::BuffersActor, ray::VerifierActor ──▶ sandbox

Invariant: nothing is found that this process did not start, itself or by its children: orphans become its children, once
`adopt_orphans` was called, and not init's. Linux only.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from cluster.processes import descendants
from cluster.tether import PR_SET_CHILD_SUBREAPER, prctl

DRIVER, SANDBOX = "driver", "sandbox"
TITLES = {  # of Ray's actor processes
    "generator": ("ray::GeneratorActor", "ray::StreamingGeneratorActor"),
    "learner": ("ray::LearnerActor",),
    "buffers": ("ray::BuffersActor",),
    "verifier": ("ray::VerifierActor",),
}
ROLES = (*TITLES, SANDBOX, DRIVER)
SANDBOX_MODULE = "verifier.sandbox.server"
SHARED_MEMORY = Path("/dev/shm")
TICK_S = 0.25
GRACE_S = 120.0  # for what belongs to an ended driver to end by itself
KILL_S = 30.0  # for what was killed to end


def adopt_orphans() -> None:
    """From now on, what a child of this process leaves behind is found below this process."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def processes_of(role: str, driver: psutil.Process) -> list[psutil.Process]:
    """In the order of their pids; none where the run has none now."""
    if role == DRIVER:
        return [driver] if driver.is_running() else []
    return sorted((process for process in _below(driver) if _role(process) == role), key=lambda process: process.pid)


def left_behind(grace_s: float = GRACE_S) -> list[str]:
    """Waits for all processes below this one to end; ends those that stay, and tells which."""
    until = time.monotonic() + grace_s
    while (living := _living()) and time.monotonic() < until:
        time.sleep(TICK_S)
    names = [_title(process) for process in living]
    until = time.monotonic() + KILL_S
    while (living := _living()) and time.monotonic() < until:
        for process in living:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(TICK_S)
    return names + [f"{_title(process)}, which kill -9 has not ended within {KILL_S:g} s" for process in living]


def wake(processes: Sequence[psutil.Process]) -> None:
    """Stopped ones can neither notice that their driver is gone nor end."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


def segments() -> set[str]:
    """What lies in shared memory."""
    return {path.name for path in SHARED_MEMORY.iterdir()} if SHARED_MEMORY.is_dir() else set()


def unowned(names: Sequence[str]) -> list[str]:
    """Of these segments: those that no living process has open or mapped."""
    wanted, owned = set(names), set[str]()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            owned |= {Path(path).name for path in _files(process.pid) if path.startswith(f"{SHARED_MEMORY}/")}
    return sorted(name for name in wanted - owned if (SHARED_MEMORY / name).exists())


def _files(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            yield os.readlink(link)
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        if "/" in line:
            yield line[line.index("/") :]


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _living() -> list[psutil.Process]:
    """Below this process; those of its children that have ended are reaped, the orphans among them that nobody else will."""
    living = []
    for process in descendants():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
            elif process.ppid() == os.getpid():
                os.waitpid(process.pid, os.WNOHANG)
    return living


def _role(process: psutil.Process) -> str:
    title = _title(process, None)  # a long path of Python's would leave no room for the module in a short one
    if SANDBOX_MODULE in title:
        return SANDBOX
    return next((role for role, starts in TITLES.items() if title.startswith(starts)), "")


def _title(process: psutil.Process, length: int | None = 120) -> str:
    try:
        return " ".join(process.cmdline())[:length] or process.name()
    except psutil.Error:
        return "a process that has ended"
