import os
import re
import resource
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest

from configs.errors import UserError
from tests.verifier.observing import SPARE, descriptors, have_ended, leaked, servers
from verifier.sandbox import host as host_module
from verifier.sandbox.filter import compiled_filter
from verifier.sandbox.host import Ended, Host, ServerLost
from verifier.sandbox.modules import SMALL
from verifier.sandbox.protocol import MAX_TEXT_BYTES, Settings
from verifier.sandbox.results import read_result

pytestmark = pytest.mark.usefixtures("alone")
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings(
    modules=SMALL,
    filter_hex=compiled_filter(),
    clock_offset_s=0.0,
    scatter=False,
    timeout_s=5.0,
    memory_bytes=256 << 20,
    output_bytes=1 << 16,
)
ECHO = "def f(*values): return values"
HANG = "def f():\n  while True: pass"
SLEEP = "import time\ndef f(): time.sleep(10 ** 6)"


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host(1, SETTINGS)
    host.start()
    yield host
    host.close()


def wait_for(host: Host, count: int) -> list[Ended]:
    ended: list[Ended] = []
    while len(ended) < count:
        ended += host.ended()
    return ended


def server() -> psutil.Process:
    [found] = servers()
    return found


def children_of(process: psutil.Process, count: int) -> list[psutil.Process]:
    until = monotonic() + 60
    while len(found := process.children(recursive=True)) < count and monotonic() < until:
        sleep(0.01)
    assert len(found) == count
    return found


def test_each_run_gets_its_own_reply_in_whatever_order_they_end(host: Host) -> None:
    for job in range(40):
        host.run(job, "def f(number):\n  for i in range(number): pass\n  return number", str(1000 * (40 - job)))
    ended = wait_for(host, 40)
    assert {each.job: read_result(each, 0.0).output for each in ended} == {job: str(1000 * (40 - job)) for job in range(40)}
    assert not host.running


@pytest.mark.parametrize("size", [1000, 60_000, MAX_TEXT_BYTES - 200])
def test_long_texts_arrive_whole(host: Host, size: int) -> None:
    host.run(1, f"def f(text): return len(text), {size}\n#" + "x" * (MAX_TEXT_BYTES - 200 - size), f"'{'é' * (size // 2)}'")
    [ended] = wait_for(host, 1)
    assert read_result(ended, 0.0).output == f"({size // 2}, {size})"


def test_a_run_ends_when_it_is_killed_and_the_others_do_not(host: Host) -> None:
    host.run(1, HANG, "")
    host.run(2, SLEEP, "")
    host.run(3, ECHO, "1")
    [third] = wait_for(host, 1)
    for job in (1, 2):
        host.demote(job)
        host.kill(job)
    others = wait_for(host, 2)
    assert read_result(third, 0.0).output == "(1,)"
    assert {each.job: read_result(each, 0.0).status for each in others} == {1: "timeout", 2: "timeout"}


def test_orders_for_a_run_that_has_ended_meanwhile_do_no_harm(host: Host) -> None:
    for job in range(20):
        host.run(job, ECHO, "1")
        sleep(0.002)
        host.kill(job)
        host.demote(job)
    ended = wait_for(host, 20)
    assert {read_result(each, 0.0).status for each in ended} <= {"ok", "timeout"}
    assert "ok" in {read_result(each, 0.0).status for each in ended}


@pytest.mark.parametrize("end", ["hang_up", "close", "kill", "terminate"])
def test_no_program_outlives_its_server_even_if_it_sleeps(host: Host, end: str) -> None:
    host.run(1, HANG, "")
    host.run(2, SLEEP, "")
    started = server()
    programs = children_of(started, 2)
    getattr(started if end in ("kill", "terminate") else host, end)()
    assert have_ended(programs)
    if end != "close":
        assert sorted(host.close()) == [1, 2]
    assert not started.is_running()


def test_a_lost_server_is_told_and_closing_returns_what_it_had_in_hand(host: Host) -> None:
    host.run(7, SLEEP, "")
    server().kill()
    with pytest.raises(ServerLost):
        wait_for(host, 1)
    with pytest.raises(ServerLost):
        host.run(8, ECHO, "")
    assert sorted(host.close()) == [7, 8]
    assert host.close() == []


def test_a_stopped_server_is_ended_without_its_help(host: Host) -> None:
    host.run(1, HANG, "")
    stopped = server()
    [program] = children_of(stopped, 1)
    stopped.suspend()
    started = monotonic()
    assert host.close(grace_s=0.1) == [1]
    assert monotonic() - started < 30
    assert have_ended([stopped, program])


def test_the_server_holds_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZR_SECRET", "hidden")
    with open("/dev/null", "rb") as file:
        os.set_inheritable(file.fileno(), True)
        host = Host(1, SETTINGS)
        host.start()
        found = server()
        names = sorted(int(name) for name in os.listdir(f"/proc/{found.pid}/fd"))
        opened = [os.readlink(f"/proc/{found.pid}/fd/{name}") for name in names[:4]]
        environment = Path(f"/proc/{found.pid}/environ").read_bytes()
        host.close()
    assert b"AZR" not in environment
    assert b"PATH" not in environment.replace(b"LD_LIBRARY_PATH", b"")
    assert opened[:3] == ["/dev/null"] * 3
    assert opened[3].startswith("socket:")
    assert len(names) == 6  # those, and the pipe that tells of a child's end


def test_nothing_is_left_open(host: Host) -> None:
    before = descriptors()
    for _ in range(5):
        for job in range(20):
            host.run(job, ECHO if job % 5 else "def f(", "1")
        wait_for(host, 20)
    assert not leaked(before)
    for _ in range(SPARE + 1):
        other = Host(2, SETTINGS)
        other.start()
        other.run(1, HANG, "")
        other.close()
    assert not leaked(before)


def executable(folder: Path, text: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "No such file"),
        ("exit 3", "EOF|Broken pipe|reset"),
        ("echo out of order >&2; exit 1", "out of order"),
        ("sleep 30", "timed out|timeout"),
        ("sleep 30 & exit 0", "EOF|timed out|Broken pipe|timeout"),
        (f'ulimit -v 12000; exec {sys.executable} "$@"', "."),
        (f'ulimit -n 3; exec {sys.executable} "$@"', "."),
    ],
    ids=["missing", "ends", "complains", "hangs", "leaves a child", "little memory", "few files"],
)
def test_a_server_that_cannot_start_is_an_error_of_one_line(
    script: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script and "sleep" in script:
        monkeypatch.setattr(host_module, "START_TIMEOUT_S", 0.4)
    monkeypatch.setattr(sys, "executable", executable(tmp_path, script) if script else str(tmp_path / "nothing"))
    before, started = descriptors(), monotonic()
    host = Host(1, SETTINGS)
    with pytest.raises(UserError, match=said) as caught:
        host.start()
    assert "\n" not in str(caught.value)
    assert monotonic() - started < 25  # and does not wait for what sleeps
    host.close()
    assert not leaked(before)


SCRIPT = """
    import resource, sys
    from configs.errors import UserError
    from configs.system_sections import VerifiersSection
    from verifier.sandbox.pool import Job, Pool
    pool = Pool(VerifiersSection(timeout_s=2))
    {limit}
    try:
        print(pool.run([Job(program="def f(): return 1", arguments="")])[0].status)
    except UserError as error:
        print("UserError", str(error).count(chr(10)), error)
    """


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param("resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))", id="processes"),
        pytest.param("resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))", id="files", marks=pytest.mark.slow),
        pytest.param("resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))", id="no files at all", marks=pytest.mark.slow),
        pytest.param("resource.setrlimit(resource.RLIMIT_AS, (28 << 20, 28 << 20))", id="memory", marks=pytest.mark.slow),
    ],
)
def test_a_lack_of_what_a_server_needs_is_an_error_of_one_line(limit: str) -> None:
    text = textwrap.dedent(SCRIPT).format(limit=limit)
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("UserError 0 "), done.stderr[-500:]


def test_descriptor_numbers_may_be_large() -> None:
    """`select.select` ends at 1024, and a server's own limit on open files is far below that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1600:
        pytest.skip(f"the limit on open files is {hard}, 1600 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1600), hard))
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        host = Host(1, SETTINGS)
        host.start()
        host.run(1, ECHO, "1")
        assert host.fileno() > 1024
        assert read_result(wait_for(host, 1)[0], 0.0).output == "(1,)"
        host.close()
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_ctrl_c_of_the_terminal_does_not_reach_the_server(host: Host) -> None:
    assert os.getpgid(server().pid) != os.getpgrp()
    os.kill(server().pid, signal.SIGCHLD)
    host.run(1, ECHO, "1")
    assert read_result(wait_for(host, 1)[0], 0.0).status == "ok"


def test_the_signals_that_its_starter_blocks_or_ignores_do_not_concern_the_server() -> None:
    """Masks are inherited; without SIGCHLD no end of a program would be heard of."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGCHLD, signal.SIGXCPU)}
    host = Host(1, SETTINGS)
    try:
        host.start()
    finally:
        for number, handler in ignored.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    status = Path(f"/proc/{server().pid}/status").read_text()
    assert int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16) == 0
    assert not int(re.search(r"SigIgn:\s*(\w+)", status)[1], 16) & 1 << (signal.SIGXCPU - 1)
    host.run(1, ECHO, "1")
    assert read_result(wait_for(host, 1)[0], 0.0).output == "(1,)"
    host.close()
