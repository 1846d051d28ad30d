import random
import threading
from collections.abc import Callable
from time import monotonic, sleep
from unittest.mock import patch

import pytest

from tests.verifier.observing import servers
from tests.verifier.pools import BOTH, BUSY, ECHO, HANG, SLEEP, echoes, numbers, outputs
from verifier.sandbox import pool as pool_module
from verifier.sandbox.pool import Job, Pool
from verifier.sandbox.results import Result

FINISH = Pool._done


@pytest.mark.parametrize("workers", [2, pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_results_keep_the_order_of_the_jobs_whatever_order_they_end_in(make_pool: Callable[..., Pool], workers: int) -> None:
    pool = make_pool(workers=workers, timeout_s=10)
    rng = random.Random(workers)
    jobs = [
        Job(program=BUSY, arguments=f"{number}, {rng.choice([0, 1000, 100_000])}", hash_seeds=rng.choice([(1,), BOTH]))
        for number in range(60)
    ]
    assert outputs(pool, jobs) == numbers(60)
    assert outputs(pool, jobs[::-1]) == numbers(60)[::-1]


def test_nothing_to_do_starts_nothing(make_pool: Callable[..., Pool]) -> None:
    assert make_pool().run([]) == []
    assert not servers()


def test_a_pool_may_be_closed_twice_and_used_again(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool()
    pool.close()
    for _ in range(2):
        assert outputs(pool, echoes(3)) == numbers(3)
        pool.close()
        pool.close()
        assert not servers()


@pytest.mark.parametrize("num_quick", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_a_hung_program_costs_one_slot_and_never_the_queue(
    make_pool: Callable[..., Pool], num_quick: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four of them, before and among the others, which end first; and the four end together, not one after the other.

    The limit on time is several times what the others take alone, just before, on the machine as busy as it is.
    """
    monkeypatch.setattr(pool_module, "PATIENCE", 1)  # so that what hangs ends at the limit
    first = make_pool(timeout_s=60)
    first.run(echoes(1))
    started = monotonic()
    first.run(echoes(num_quick))
    pool = make_pool(timeout_s=1 + 4 * (monotonic() - started))
    pool.run(echoes(1))
    jobs = echoes(num_quick)
    for at in (0, 1, num_quick // 2, num_quick - 1):
        jobs.insert(at, HANG)
    done: list[Result] = []
    with patch.object(Pool, "_done", lambda pool, number, result: (done.append(result), FINISH(pool, number, result))):
        started = monotonic()
        results = pool.run(jobs)
        wall_s = monotonic() - started
    assert [result.output for result in results if result.status == "ok"] == numbers(num_quick)
    assert [result.status for result in done] == ["ok"] * num_quick + ["timeout"] * 4
    assert wall_s < 0.75 * sum(result.wall_s for result in done[-4:])


@pytest.mark.slow
def test_many_hung_programs_end_in_bounded_time(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(timeout_s=0.2)
    started = monotonic()
    results = pool.run([HANG, SLEEP] * 50)
    assert {result.status for result in results} == {"timeout"}
    assert monotonic() - started < 0.5 * sum(result.wall_s for result in results)


def test_time_is_told_to_be_over_when_it_is(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(timeout_s=1)
    short, long, never = pool.run(
        [Job(program="import time\ndef f(s):\n  time.sleep(s)\n  return s", arguments=text) for text in ("0.1", "20", "1e6")]
    )
    assert (short.status, long.status, never.status) == ("ok", "timeout", "timeout")
    assert short.wall_s >= 0.1
    assert 1 <= long.wall_s < 20


@pytest.mark.slow
def test_the_limit_on_time_is_of_each_run_and_not_of_a_job(make_pool: Callable[..., Pool]) -> None:
    [result] = make_pool(timeout_s=1.8).run(
        [Job(program="import time\ndef f():\n  time.sleep(1)\n  return 1", arguments="", hash_seeds=BOTH)]
    )
    assert (result.status, result.output) == ("ok", "1")
    assert result.wall_s >= 2


def test_a_pool_belongs_to_no_thread(make_pool: Callable[..., Pool]) -> None:
    """An actor's methods run in threads that come and go."""
    pool = make_pool()
    found: list[list[str]] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: found.append(outputs(pool, echoes(10, hash_seeds=BOTH))))
        thread.start()
        thread.join()
        sleep(0.05)
    assert found == [numbers(10)] * 3
    assert len(servers()) == 2


@pytest.mark.slow
def test_two_pools_side_by_side_do_not_meet(make_pool: Callable[..., Pool]) -> None:
    pools = [make_pool(timeout_s=5), make_pool(timeout_s=5)]
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


def test_texts_that_are_too_long_are_refused_and_the_others_run(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool()
    jobs = [
        Job(program=ECHO + "\n#" + "x" * (1 << 20), arguments="1"),
        Job(program=ECHO, arguments="'" + "x" * (1 << 20) + "'"),
        Job(program=ECHO + "\n#" + "é" * 60_000, arguments="1"),
        Job(program=ECHO + "\n#" + "x" * 90_000, arguments="4"),
        Job(program="def f(x): return len(x)", arguments="'" + "x" * 90_000 + "'"),
    ]
    assert outputs(pool, jobs) == ["too_long", "too_long", "too_long", "4", "90000"]


def test_the_walls_that_stand_are_known_by_name(make_pool: Callable[..., Pool]) -> None:
    walls = make_pool().walls()
    assert {"seccomp", "landlock", "namespaces", "unprivileged", "no_new_privileges"} <= set(walls)
    assert walls["seccomp"]


def test_the_longest_limit_on_time_is_no_number_too_large(make_pool: Callable[..., Pool]) -> None:
    nap = Job(program="import time\ndef f():\n  time.sleep(0.2)\n  return 1", arguments="")
    assert outputs(make_pool(timeout_s=3600), [nap]) == ["1"]
