import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest

from configs.errors import UserError
from configs.schema import VerifiersSection
from verifier.sandbox import pool as pool_module
from verifier.sandbox.pool import Job, Pool

ROOT = Path(__file__).resolve().parents[2]
ECHO = "def f(x): return x"
HANG = Job(program="def f():\n  while True: pass", arguments="")
SLEEP = Job(program="import time\ndef f(): time.sleep(10 ** 6)", arguments="")
BUSY = "def f(x, n):\n  for i in range(n): pass\n  return x"
BOTH = (1, 2)


@pytest.fixture
def make() -> Iterator[Callable[..., Pool]]:
    """Pools that are closed at the end, and what was there before is there again: descriptors and processes."""
    before = descriptors()
    made: list[Pool] = []

    def make(**options: float) -> Pool:
        made.append(Pool(VerifiersSection(**options)))
        return made[-1]

    yield make
    for pool in made:
        pool.close()
    assert descriptors() == before
    assert not servers()


def descriptors() -> set[str]:
    found = {name: f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")}
    return {f"{name}:{os.readlink(path)}" for name, path in found.items() if int(name) > 2 and os.path.islink(path)}


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


def interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def servers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if lives_on(child) and "sandbox.server" in " ".join(child.cmdline())]


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
def struck(order: signal.Signals, every_s: tuple[float, float]) -> Iterator[list[int]]:
    """Servers are sent a signal again and again, one of those that there are at a time. Yields whom it met."""
    over, met, rng = threading.Event(), list[int](), random.Random(0)

    def strike() -> None:
        while not over.wait(rng.uniform(*every_s)):
            if alive := servers():
                met.append(rng.choice(alive).pid)
                os.kill(met[-1], order)

    striker = threading.Thread(target=strike)
    striker.start()
    try:
        yield met
    finally:
        over.set()
        striker.join()


def echoes(count: int, **options: tuple[int, ...]) -> list[Job]:
    return [Job(program=ECHO, arguments=str(number), **options) for number in range(count)]


def outputs(pool: Pool, jobs: list[Job]) -> list[str]:
    return [result.output or result.reason for result in pool.run(jobs)]


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


@pytest.mark.parametrize("workers", [2, pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_results_keep_the_order_of_the_jobs_whatever_order_they_end_in(make: Callable[..., Pool], workers: int) -> None:
    pool = make(workers=workers, timeout_s=10)
    rng = random.Random(workers)
    jobs = [
        Job(program=BUSY, arguments=f"{number}, {rng.choice([0, 1000, 100_000])}", hash_seeds=rng.choice([(1,), BOTH]))
        for number in range(60)
    ]
    assert outputs(pool, jobs) == numbers(60)
    assert outputs(pool, jobs[::-1]) == numbers(60)[::-1]


def test_nothing_to_do_starts_nothing(make: Callable[..., Pool]) -> None:
    assert make().run([]) == []
    assert not servers()


def test_a_pool_may_be_closed_twice_and_used_again(make: Callable[..., Pool]) -> None:
    pool = make()
    pool.close()
    for _ in range(2):
        assert outputs(pool, echoes(3)) == numbers(3)
        pool.close()
        pool.close()
        assert not servers()


def test_a_hung_program_costs_one_slot_and_never_the_queue(make: Callable[..., Pool]) -> None:
    """Four of them, one after the other, would take four timeouts; before or among the others."""
    pool = make(timeout_s=1.0)
    pool.run(echoes(1))
    started = monotonic()
    pool.run(echoes(400))
    alone_s = monotonic() - started
    jobs = echoes(400)
    for at in (0, 1, 150, 399):
        jobs.insert(at, HANG)
    started = monotonic()
    results = pool.run(jobs)
    assert monotonic() - started < 2 * alone_s + 2.5
    assert [result.output for result in results if result.status == "ok"] == numbers(400)
    assert [result.status for result in results].count("timeout") == 4
    waited = [result.wall_s for result in results if result.status == "ok"]
    assert sorted(waited)[-8] < 0.5


@pytest.mark.slow
def test_many_hung_programs_end_in_bounded_time(make: Callable[..., Pool]) -> None:
    pool = make(timeout_s=0.2)
    started = monotonic()
    results = pool.run([HANG, SLEEP] * 50)
    assert {result.status for result in results} == {"timeout"}
    assert monotonic() - started < 100 / (pool_module.YOUNG + pool_module.OLD) * 0.2 * 2 + 5


def test_time_is_told_to_be_over_when_it_is(make: Callable[..., Pool]) -> None:
    pool = make(timeout_s=0.4)
    short, long, never = pool.run(
        [Job(program="import time\ndef f(s):\n  time.sleep(s)\n  return s", arguments=text) for text in ("0.1", "0.6", "1e6")]
    )
    assert (short.status, long.status, never.status) == ("ok", "timeout", "timeout")
    assert 0.1 <= short.wall_s < 0.4 <= long.wall_s < 1.2


@pytest.mark.slow
def test_the_limit_on_time_is_of_each_run_and_not_of_a_job(make: Callable[..., Pool]) -> None:
    [result] = make(timeout_s=0.35).run(
        [Job(program="import time\ndef f():\n  time.sleep(0.2)\n  return 1", arguments="", hash_seeds=BOTH)]
    )
    assert (result.status, result.output) == ("ok", "1")
    assert 0.4 <= result.wall_s < 2


@pytest.mark.slow
def test_a_stalled_supervisor_makes_no_timeout_a_lack_of_memory(make: Callable[..., Pool]) -> None:
    """The kernel's limit on a program's time comes first then, and it kills too."""
    pool = make(timeout_s=0.2)
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
    "hash_seeds", [pytest.param((1,), id="one world"), pytest.param(BOTH, marks=pytest.mark.slow, id="two worlds")]
)
def test_servers_that_are_killed_again_and_again_lose_nothing(make: Callable[..., Pool], hash_seeds: tuple[int, ...]) -> None:
    pool = make(timeout_s=10, workers=2)
    jobs = [Job(program=BUSY, arguments=f"{number}, 20000", hash_seeds=hash_seeds) for number in range(300)]
    with struck(signal.SIGKILL, every_s=(0.1, 0.2)) as num_struck:
        found = outputs(pool, jobs)
    assert found == numbers(300)
    assert len(num_struck) > 1
    assert outputs(pool, echoes(5)) == numbers(5)


def test_a_server_killed_between_two_batches_is_replaced(make: Callable[..., Pool]) -> None:
    pool = make()
    for _ in range(3):
        assert outputs(pool, echoes(20, hash_seeds=BOTH)) == numbers(20)
        for server in servers():
            server.kill()


def test_a_stopped_server_is_noticed_and_replaced(make: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "LOST_S", 0.3)
    pool = make(timeout_s=0.3)
    pool.run(echoes(1))
    [stopped] = servers()
    stopped.suspend()
    started = monotonic()
    assert outputs(pool, echoes(50)) == numbers(50)
    assert monotonic() - started < 4
    assert have_ended([stopped])


@pytest.mark.slow
def test_closing_does_not_wait_for_each_stopped_server_in_turn(make: Callable[..., Pool]) -> None:
    pool = make(workers=2)
    pool.run(echoes(50, hash_seeds=BOTH))
    found = servers()
    for server in found:
        server.suspend()
    started = monotonic()
    pool.close()
    assert monotonic() - started < pool_module.CLOSE_S + 1.5
    assert len(found) > 1
    assert have_ended(found)


SUPERVISOR = """
    from configs.schema import VerifiersSection
    from verifier.sandbox.pool import Job, Pool
    hang = "def f():\\n  while True: pass"
    sleep = "import time\\ndef f(): time.sleep(10 ** 6)"
    Pool(VerifiersSection(timeout_s=1000)).run([Job(program=each, arguments="") for each in (hang, sleep) * 3])
    """


def test_a_supervisor_that_is_killed_leaves_no_process() -> None:
    supervisor = psutil.Popen([sys.executable, "-c", textwrap.dedent(SUPERVISOR)], cwd=ROOT)
    until = monotonic() + 20
    while len(found := supervisor.children(recursive=True)) < 7 and monotonic() < until:
        sleep(0.05)
    supervisor.kill()
    supervisor.wait()
    assert len(found) == 7
    assert have_ended(found)


@pytest.mark.parametrize("delay_s", [0.005, 0.03, 0.08, 0.2])
def test_an_interruption_closes_everything_and_the_pool_serves_again(make: Callable[..., Pool], delay_s: float) -> None:
    pool = make(timeout_s=30)
    before = descriptors()
    with signalled(delay_s, interrupt), pytest.raises(KeyboardInterrupt):
        pool.run([HANG, SLEEP, *echoes(30, hash_seeds=BOTH)])
    assert have_ended(servers())
    assert descriptors() == before
    assert outputs(pool, echoes(3)) == numbers(3)


def test_a_pool_belongs_to_no_thread(make: Callable[..., Pool]) -> None:
    """An actor's methods run in threads that come and go."""
    pool = make()
    found: list[list[str]] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: found.append(outputs(pool, echoes(10, hash_seeds=BOTH))))
        thread.start()
        thread.join()
        sleep(0.05)
    assert found == [numbers(10)] * 3
    assert len(servers()) == 2


@pytest.mark.slow
def test_two_pools_side_by_side_do_not_meet(make: Callable[..., Pool]) -> None:
    pools = [make(timeout_s=5), make(timeout_s=5)]
    found: dict[int, list[str]] = {}

    def work(index: int) -> None:
        jobs = [Job(program=ECHO, arguments=f"{index}{number:03}") for number in range(100, 250)]
        found[index] = outputs(pools[index - 1], jobs)

    threads = [threading.Thread(target=work, args=(index,)) for index in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {index: [f"{index}{number}" for number in range(100, 250)] for index in (1, 2)}


def test_texts_that_are_too_long_are_refused_and_the_others_run(make: Callable[..., Pool]) -> None:
    pool = make()
    jobs = [
        Job(program=ECHO + "\n#" + "x" * (1 << 20), arguments="1"),
        Job(program=ECHO, arguments="'" + "x" * (1 << 20) + "'"),
        Job(program=ECHO + "\n#" + "é" * 60_000, arguments="1"),
        Job(program=ECHO + "\n#" + "x" * 90_000, arguments="4"),
        Job(program="def f(x): return len(x)", arguments="'" + "x" * 90_000 + "'"),
    ]
    assert outputs(pool, jobs) == ["too_long", "too_long", "too_long", "4", "90000"]


def test_few_descriptors_slow_it_down_and_none_are_an_error_of_one_line(make: Callable[..., Pool]) -> None:
    pool = make(timeout_s=5)
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


def test_a_program_that_floods_its_reply_ends_only_itself(make: Callable[..., Pool]) -> None:
    flood = """
        import sys
        def f():
            frame = sys._getframe()
            while 'RESULT_FD' not in frame.f_globals: frame = frame.f_back
            while True: frame.f_globals['os'].write(3, b'["ok",1,"",""]' * 5000)
        """
    jobs = [Job(program=textwrap.dedent(flood), arguments=""), *echoes(20)]
    found = make(timeout_s=0.2).run(jobs)
    assert found[0].status in ("timeout", "error")
    assert [result.output for result in found[1:]] == numbers(20)


@pytest.mark.slow
def test_thousands_of_jobs_leave_neither_descriptors_nor_memory(make: Callable[..., Pool]) -> None:
    pool = make(timeout_s=5)
    jobs = [Job(program=f"{ECHO}  # {number}" + "x" * 500, arguments=str(number)) for number in range(5000)]
    pool.run(jobs)
    before, memory = descriptors(), psutil.Process().memory_info().rss
    served = [(server.pid, server.memory_info().rss) for server in servers()]
    for _ in range(2):
        assert outputs(pool, jobs) == numbers(5000)
    assert descriptors() == before
    assert psutil.Process().memory_info().rss - memory < 8 << 20
    for pid, rss in served:
        assert psutil.Process(pid).memory_info().rss - rss < 4 << 20


@pytest.mark.slow
def test_interruptions_at_any_moment_leave_nothing(make: Callable[..., Pool]) -> None:
    rng = random.Random(1)
    pool = make(timeout_s=30, workers=2)
    before = descriptors()
    for _ in range(60):
        with pytest.raises(KeyboardInterrupt), signalled(rng.uniform(0.001, 0.3), interrupt):
            pool.run([HANG, *echoes(40, hash_seeds=BOTH)])
        assert have_ended(servers())
        assert descriptors() == before


@pytest.mark.slow
@pytest.mark.parametrize("order", [signal.SIGKILL, signal.SIGSTOP])
def test_a_storm_of_signals_to_the_servers_changes_no_result(
    make: Callable[..., Pool], order: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "LOST_S", 0.5)
    pool = make(timeout_s=2, workers=2)
    jobs = [Job(program=BUSY, arguments=f"{number}, 2000", hash_seeds=BOTH) for number in range(1500)]
    with struck(order, every_s=(0.01, 0.8)):
        assert outputs(pool, jobs) == numbers(1500)


def test_the_walls_that_stand_are_known_by_name(make: Callable[..., Pool]) -> None:
    walls = make().walls()
    assert {"seccomp", "landlock", "namespaces", "unprivileged", "no_new_privileges"} <= set(walls)
    assert walls["seccomp"]


@pytest.mark.slow
def test_a_supervisor_ends_without_closing_its_pool() -> None:
    """And without complaints, as a run that is interrupted may not come to it."""
    text = textwrap.dedent("""
        from configs.schema import VerifiersSection
        from verifier.sandbox.pool import Job, Pool
        pool = Pool(VerifiersSection())
        print(pool.run([Job(program="def f(): return 1", arguments="")])[0].output)
        """)
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)
