"""How work is split over actors, and what a caller hears when one of them fails."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.fleet import Berth, Fleet, Life, dealt
from actors.mending import Fault, Mending
from configs.errors import UserError

MakeBerth = Callable[..., Berth]


@given(keys=st.lists(st.integers(0, 3)), num_shares=st.integers(1, 9))
def test_every_item_is_dealt_once_in_order_and_none_gets_more_than_a_fair_share_beyond_another(
    keys: list[int], num_shares: int
) -> None:
    shares = dealt(keys, num_shares)
    assert sorted(position for share in shares for position in share) == list(range(len(keys)))
    assert all(share == sorted(share) for share in shares)
    sizes = [len(share) for share in shares]
    assert len(shares) == num_shares
    assert max(sizes) - min(sizes) <= -(-len(keys) // num_shares)
    assert all(sizes[: sum(map(bool, sizes))]), "only the last ones get nothing"


def test_a_tasks_attempts_stay_together_and_the_kinds_are_spread() -> None:
    tasks = [f"{kind}{task}" for kind in "dai" for task in range(4)]
    first, second = dealt([task for task in tasks for _ in range(8)], 2)
    for share in (first, second):
        assert [len(set(range(8 * task, 8 * task + 8)) & set(share)) for task in range(12)].count(8) == 6
        assert len({position // 32 for position in share}) == 3
    assert dealt(["one"] * 5, 2) == [[0, 1, 2], [3, 4]]


def shell_class() -> type:
    """Defined inside a function, so that Ray ships the class itself to the actor's process."""

    class Shell:
        def __init__(self, name: str) -> None:
            self.name, self.held = name, [0]

        def pid(self) -> int:
            return os.getpid()

        def double(self, items: list[int]) -> list[int]:
            return [2 * item for item in items]

        def sleep(self, seconds: float) -> str:
            time.sleep(seconds)
            return self.name

        def fail(self, user: bool) -> None:
            raise UserError("learner.lr must be lower") if user else KeyError("secret")

        def die(self) -> None:
            os._exit(1)

        def load(self, number: int) -> None:
            self.held = [number]

        def add(self, number: int) -> None:
            self.held.append(number)

        def sum(self) -> int:
            return sum(self.held)

        def close(self) -> None: ...

    return Shell


def gone(pids: list[int], timeout_s: float = 10.0) -> bool:
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    return not alive


@pytest.fixture
def fleet(ray_cluster: None, make_berth: MakeBerth) -> Any:
    fleet = Fleet(shell_class(), [make_berth(f"azr-test-{i}") for i in range(2)], "run", 30.0)
    yield fleet
    fleet.close()


@pytest.mark.slow
def test_split_work_comes_back_in_order(fleet: Fleet) -> None:
    assert fleet.split("double", list(range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert fleet.split("double", [3]) == [6]
    assert fleet.split("double", []) == []


@pytest.mark.slow
def test_a_late_answer_is_one_line_that_names_who_and_what(fleet: Fleet) -> None:
    fleet.all("pid")  # both have started
    refs = fleet.submit("sleep", [(0.0,), (30.0,)])
    with pytest.raises(UserError, match=r"^azr-test-1 gave no answer to sleep within 3 s; .*cluster\.call_timeout_s"):
        fleet.gather(refs, "sleep", 3.0)


@pytest.mark.slow
def test_a_users_mistake_inside_an_actor_arrives_as_itself(fleet: Fleet) -> None:
    with pytest.raises(UserError, match=r"^learner\.lr must be lower$"):
        fleet.all("fail", True)


@pytest.mark.slow
def test_a_bug_inside_an_actor_is_named_and_keeps_its_cause(fleet: Fleet) -> None:
    with pytest.raises(UserError, match=r"^azr-test-0 failed in fail: KeyError: 'secret'; the same command resumes") as caught:
        fleet.first("fail", False)
    assert caught.value.__cause__ is not None


@pytest.mark.slow
def test_a_death_is_heard_before_the_slowest_answer(fleet: Fleet) -> None:
    slow = fleet.submit("sleep", [(20.0,)])
    start = time.monotonic()
    with pytest.raises(UserError, match=r"^azr-test-1 died in die \(its process was killed or crashed") as caught:
        fleet.gather([*slow, fleet._actors[1].die.remote()], "die")
    assert time.monotonic() - start < 10
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_close_ends_the_processes_even_of_a_busy_actor(ray_cluster: None, make_berth: MakeBerth) -> None:
    fleet = Fleet(shell_class(), [make_berth(f"azr-busy-{i}") for i in range(2)], "run", 30.0)
    pids = fleet.all("pid")
    fleet.submit("sleep", [(60.0,)])
    fleet.close()
    assert gone(pids)
    fleet.close()


@pytest.mark.slow
def test_a_name_that_is_taken_is_a_users_error(fleet: Fleet, make_berth: MakeBerth) -> None:
    with pytest.raises(UserError, match="azr-test-0 of run run exists on this cluster already"):
        Fleet(shell_class(), [make_berth("azr-test-0")], "run", 30.0)


@pytest.fixture
def lasting(ray_cluster: None, make_berth: MakeBerth) -> Any:
    """Two actors that are made anew, at most twice each; and what was told of it."""
    told: list[Fault] = []
    life = Life(
        begin=lambda fleet, whom: fleet.submit("pid", [()] * len(whom), whom),
        changes=("load", "add"),
        mending=Mending(restarts=2, start_timeout_s=120.0, told=told.append),
    )
    fleet = Fleet(shell_class(), [make_berth(f"azr-test-{i}") for i in range(2)], "lasting", 60.0, life=life)
    fleet.gather(fleet.submit("pid", [()] * 2), "pid", 240.0)
    yield fleet, told
    fleet.close()


@pytest.mark.slow
def test_a_killed_actor_holds_again_what_it_held_and_its_call_is_answered(lasting: Any) -> None:
    fleet, told = lasting
    fleet.all("load", 1)
    fleet.all("add", 10)
    pids = fleet.all("pid")
    os.kill(pids[1], signal.SIGKILL)
    assert fleet.all("sum") == [11, 11]
    assert fleet.first("pid") == pids[0], "the other one is left alone"
    assert [fault.who for fault in told] == [("azr-test-1",)] * 2
    assert "azr-test-1 died in sum" in told[0].line
    assert told[1].seconds > 0
    assert "restart 1 of 2 within an hour" in told[1].line
    os.kill(fleet.all("pid")[1], signal.SIGKILL)
    fleet.all("add", 100)
    assert fleet.all("sum") == [111, 111], "the change that met the death is made once"


@pytest.mark.slow
def test_an_actor_that_hangs_is_killed_by_its_deadline_and_made_anew(ray_cluster: None, make_berth: MakeBerth) -> None:
    told: list[Fault] = []
    mending = Mending(restarts=1, start_timeout_s=120.0, told=told.append)
    life = Life(begin=lambda fleet, whom: fleet.submit("pid", [()] * len(whom), whom), mending=mending)
    fleet = Fleet(shell_class(), [make_berth("azr-hanging")], "hanging", 5.0, life=life)
    try:
        (pid,) = fleet.gather(fleet.submit("pid", [()]), "pid", 240.0)
        os.kill(pid, signal.SIGSTOP)
        assert fleet.split("double", [4]) == [8]
        assert gone([pid])
        assert told[0].line.startswith("azr-hanging gave no answer to double within 5 s; it is made anew")
    finally:
        fleet.close()


@pytest.mark.slow
def test_one_death_too_many_within_the_hour_ends_the_run_with_the_key_to_raise(lasting: Any) -> None:
    fleet, _ = lasting
    with pytest.raises(UserError, match=r"^azr-test-\d died in die .*made anew 2 times within the hour \(cluster\.restarts\)"):
        fleet.all("die")


@pytest.mark.slow
def test_a_fleet_that_is_closed_while_an_actor_is_lost_makes_none_anew(ray_cluster: None, make_berth: MakeBerth) -> None:
    fleets: list[Fleet] = []
    mending = Mending(restarts=2, start_timeout_s=120.0, told=lambda fault: fleets[0].close())
    life = Life(begin=lambda fleet, whom: fleet.submit("pid", [()] * len(whom), whom), mending=mending)
    fleets.append(Fleet(shell_class(), [make_berth("azr-closing")], "closing", 30.0, life=life))
    pids = fleets[0].gather(fleets[0].submit("pid", [()]), "pid", 240.0)
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(UserError, match=r"^azr-closing is not made anew: the run has ended$"):
        fleets[0].first("pid")


@pytest.mark.slow
def test_a_fleet_that_is_closed_before_a_new_actor_is_told_again_says_that_the_run_has_ended(
    ray_cluster: None, make_berth: MakeBerth
) -> None:
    begun: list[int] = []

    def begin(fleet: Fleet, whom: Sequence[int]) -> list[Any]:
        begun.append(len(begun))
        answers = fleet.submit("pid", [()] * len(whom), whom)
        fleet.gather(answers, "pid", 120.0)
        fleet.close()
        return answers

    life = Life(begin=begin, changes=("load",), mending=Mending(restarts=2, start_timeout_s=120.0, told=lambda fault: None))
    fleet = Fleet(shell_class(), [make_berth("azr-closed")], "closed", 30.0, life=life)
    fleet.all("load", 1)
    os.kill(fleet.first("pid"), signal.SIGKILL)
    with pytest.raises(UserError, match=r"^azr-closed is not asked for load: the run has ended$"):
        fleet.first("pid")
    assert begun == [0]
    with pytest.raises(UserError, match=r"^azr-closed is not asked for double: the run has ended$"):
        fleet.split("double", [1, 2])
