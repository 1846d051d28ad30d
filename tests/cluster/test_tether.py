"""Nothing that a tethered command starts outlives the process that tethered it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

TETHER = [sys.executable, "-m", "cluster.tether"]
DEADLINE_S = 30.0
ESCAPES = "setsid sh -c 'sleep {0} & echo $! >> {1}; wait' & setsid sleep {0} & echo $! >> {1}"


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def pids(file: Path) -> list[int]:
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def gone(pid: int) -> bool:
    """A zombie that nobody has reaped yet is gone too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def tether(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*TETHER, str(os.getpid()), *command], start_new_session=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code"),
    [(["sh", "-c", "exit 0"], 0), (["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$"], 137), (["no-such-program"], 127)],
)
def test_the_exit_code_is_the_commands(command: list[str], code: int) -> None:
    assert tether(*command).wait(timeout=DEADLINE_S) == code


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    script = ESCAPES.format(1000, tmp_path / "pids") + "; while [ $(wc -l < " + str(tmp_path / "pids") + ") -lt 2 ]; do :; done"
    assert tether("sh", "-c", script).wait(timeout=DEADLINE_S) == 0
    assert len(pids(tmp_path / "pids")) == 2
    assert all(gone(pid) for pid in pids(tmp_path / "pids"))


def test_kill_9_of_the_parent_ends_the_command_and_what_escaped_into_other_sessions(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    command = ["sh", "-c", f"echo $$ >> {file}; {ESCAPES.format(1000, file)}; sleep 1000"]
    code = f"import os, subprocess; subprocess.run({TETHER!r} + [str(os.getpid())] + {command!r}, start_new_session=True)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    assert eventually(lambda: len(pids(file)) == 3)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert eventually(lambda: all(gone(pid) for pid in pids(file)))


def test_kill_9_of_the_tether_ends_the_command(tmp_path: Path) -> None:
    process = tether("sh", "-c", f"echo $$ > {tmp_path / 'pids'}; exec sleep 1000")
    assert eventually(lambda: len(pids(tmp_path / "pids")) == 1)
    process.kill()
    process.wait()
    assert eventually(lambda: gone(pids(tmp_path / "pids")[0]))


@pytest.mark.slow
def test_sigterm_reaches_the_command_which_may_end_in_its_own_way(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    process = tether("sh", "-c", f"trap 'exit 5' TERM; echo $$ > {file}; while :; do sleep 0.05; done")
    assert eventually(lambda: len(pids(file)) == 1)
    process.terminate()
    assert process.wait(timeout=DEADLINE_S) == 5


def test_a_tether_whose_parent_is_gone_already_starts_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen([*TETHER, "1", "touch", str(tmp_path / "started")], start_new_session=True)
    assert process.wait(timeout=DEADLINE_S) == 128 + signal.SIGUSR1
    assert not (tmp_path / "started").exists()
