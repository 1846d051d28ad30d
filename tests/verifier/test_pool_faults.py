"""What the pool does when servers, descriptors or the supervisor itself fail."""

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest

from configs.errors import UserError
from tests.verifier.observing import descriptors, have_ended, leaked, lives_on, servers, signalled, struck
from tests.verifier.pools import BOTH, BUSY, ECHO, HANG, SLEEP, echoes, numbers, outputs
from verifier.sandbox import pool as pool_module
from verifier.sandbox.host import Host
from verifier.sandbox.pool import Job, Pool

ROOT = Path(__file__).resolve().parents[2]


def interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_stalled_supervisor_makes_no_timeout_a_lack_of_memory(make_pool: Callable[..., Pool]) -> None:
    """The kernel's limit on a program's time comes first then, and it kills too."""
    pool = make_pool(timeout_s=0.2)
    pool.run(echoes(1))
    [server] = servers()

    def stall(number: int, frame: object) -> None:
        until = monotonic() + 30
        while any(map(lives_on, server.children())) and monotonic() < until:
            sleep(0.05)

    with signalled(0.05, stall):
        [result] = pool.run([HANG])
    assert result.status == "timeout"


@pytest.mark.parametrize(
    "seeds", [pytest.param((1,), id="one world"), pytest.param(BOTH, marks=pytest.mark.slow, id="two worlds")]
)
def test_servers_that_are_killed_again_and_again_lose_nothing(make_pool: Callable[..., Pool], seeds: tuple[int, ...]) -> None:
    pool = make_pool(timeout_s=60, workers=2)
    jobs = [Job(program=BUSY, arguments=f"{number}, 20000", hash_seeds=seeds) for number in range(300)]
    with struck(signal.SIGKILL, every=(20, 60)) as met:
        found = outputs(pool, jobs)
    assert found == numbers(300)
    assert len(met) > 1
    assert outputs(pool, echoes(5)) == numbers(5)


def test_servers_that_are_killed_while_they_start_are_started_again(
    make_pool: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool(timeout_s=60)
    pool.run(echoes(1))
    spawn, num_left = Host._spawn, pool_module.MAX_RETRIES

    def killed(host: Host) -> socket.socket:
        nonlocal num_left
        found = spawn(host)
        if num_left:
            num_left -= 1
            assert host._process is not None
            host._process.kill()
        return found

    monkeypatch.setattr(Host, "_spawn", killed)
    servers()[0].kill()
    assert outputs(pool, echoes(5)) == numbers(5)
    assert num_left == 0


def test_a_server_killed_between_two_batches_is_replaced(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool()
    for _ in range(3):
        assert outputs(pool, echoes(20, hash_seeds=BOTH)) == numbers(20)
        for server in servers():
            server.kill()


@pytest.mark.slow
def test_a_stopped_server_is_noticed_and_replaced(make_pool: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "LOST_S", 1.0)
    pool = make_pool(timeout_s=60)
    pool.run(echoes(1))
    [stopped] = servers()
    stopped.suspend()
    started = monotonic()
    assert outputs(pool, echoes(50)) == numbers(50)
    assert monotonic() - started < 50
    assert have_ended([stopped])


@pytest.mark.slow
def test_closing_does_not_wait_for_each_stopped_server_in_turn(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(workers=2)
    pool.run(echoes(50, hash_seeds=BOTH))
    found = servers()
    for server in found:
        server.suspend()
    started = monotonic()
    pool.close()
    assert len(found) == 4
    assert monotonic() - started < 3 * pool_module.CLOSE_S
    assert have_ended(found)


SUPERVISOR = """
    from configs.system_sections import VerifiersSection
    from verifier.sandbox.pool import Job, Pool
    hang = "def f():\\n  while True: pass"
    sleep = "import time\\ndef f(): time.sleep(10 ** 6)"
    Pool(VerifiersSection(timeout_s=1000)).run([Job(program=each, arguments="") for each in (hang, sleep) * 3])
    """


def test_a_supervisor_that_is_killed_leaves_no_process() -> None:
    supervisor = psutil.Popen([sys.executable, "-c", textwrap.dedent(SUPERVISOR)], cwd=ROOT)
    until = monotonic() + 60
    while len(found := [*filter(lives_on, supervisor.children(recursive=True))]) < 7 and monotonic() < until:
        sleep(0.05)
    supervisor.kill()
    supervisor.wait()
    assert len(found) >= 7, "the six programs and what runs them"
    assert have_ended(found)


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.005, 0.03, 0.08, 0.2])
def test_an_interruption_closes_everything_and_the_pool_serves_again(make_pool: Callable[..., Pool], delay_s: float) -> None:
    pool = make_pool(timeout_s=30)
    before = descriptors()
    with signalled(delay_s, interrupt), pytest.raises(KeyboardInterrupt):
        pool.run([HANG, SLEEP, *echoes(30, hash_seeds=BOTH)])
    assert have_ended(servers())
    assert not leaked(before)
    assert outputs(pool, echoes(3)) == numbers(3)


def test_few_descriptors_slow_it_down_and_none_are_an_error_of_one_line(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(timeout_s=5)
    pool.run(echoes(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 4, hard))
        fillers = fill()
        with pytest.raises(UserError, match="open") as caught:
            pool.run(echoes(20))
        for descriptor in fillers:
            os.close(descriptor)
        assert "\n" not in str(caught.value)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    pool.run(echoes(1))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 4, hard))
        fillers = fill()
        for descriptor in fillers[:2]:
            os.close(descriptor)
        assert outputs(pool, echoes(20)) == numbers(20)
        for descriptor in fillers[2:]:
            os.close(descriptor)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def fill() -> list[int]:
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return taken


def test_a_program_that_floods_its_reply_ends_only_itself(make_pool: Callable[..., Pool]) -> None:
    flood = """
        import sys
        def f():
            frame = sys._getframe()
            while 'RESULT_FD' not in frame.f_globals: frame = frame.f_back
            while True: frame.f_globals['os'].write(3, b'["ok",1,"",""]' * 5000)
        """
    jobs = [Job(program=textwrap.dedent(flood), arguments=""), *echoes(20)]
    found = make_pool(timeout_s=0.2).run(jobs)
    assert found[0].status in ("timeout", "error")
    assert [result.output for result in found[1:]] == numbers(20)


@pytest.mark.slow
def test_thousands_of_jobs_leave_neither_descriptors_nor_memory(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(timeout_s=60)
    jobs = [Job(program=f"{ECHO}  # {number}" + "x" * 500, arguments=str(number)) for number in range(5000)]
    pool.run(jobs)
    before, memory = descriptors(), psutil.Process().memory_info().rss
    served = [(server.pid, server.memory_info().rss) for server in servers()]
    for _ in range(2):
        assert outputs(pool, jobs) == numbers(5000)
    assert not leaked(before)
    assert psutil.Process().memory_info().rss - memory < 8 << 20
    for pid, rss in served:
        assert psutil.Process(pid).memory_info().rss - rss < 4 << 20


@pytest.mark.slow
def test_interruptions_at_any_moment_leave_nothing(make_pool: Callable[..., Pool]) -> None:
    rng = random.Random(1)
    pool = make_pool(timeout_s=30, workers=2)
    before = descriptors()
    for _ in range(60):
        with pytest.raises(KeyboardInterrupt), signalled(rng.uniform(0.001, 0.3), interrupt):
            pool.run([HANG, *echoes(40, hash_seeds=BOTH)])
        assert have_ended(servers())
        assert not leaked(before)


@pytest.mark.slow
@pytest.mark.parametrize("order", [signal.SIGKILL, signal.SIGSTOP])
def test_a_storm_of_signals_to_the_servers_changes_no_result(
    make_pool: Callable[..., Pool], order: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "LOST_S", 2.0)
    pool = make_pool(timeout_s=5, workers=2)
    jobs = [Job(program=BUSY, arguments=f"{number}, 2000", hash_seeds=BOTH) for number in range(1500)]
    with struck(order, every=(20, 250)) as met:
        assert outputs(pool, jobs) == numbers(1500)
    assert len(met) > 5


@pytest.mark.slow
def test_a_supervisor_ends_without_closing_its_pool() -> None:
    """And without complaints, as a run that is interrupted may not come to it."""
    text = textwrap.dedent("""
        from configs.system_sections import VerifiersSection
        from verifier.sandbox.pool import Job, Pool
        pool = Pool(VerifiersSection())
        print(pool.run([Job(program="def f(): return 1", arguments="")])[0].output)
        """)
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)
