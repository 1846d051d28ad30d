import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from ray._private import node, services

from cluster.patience import ATTEMPTS, TAKEN, TOO_SLOW, patiently
from cluster.processes import end_processes
from cluster.ray_processes import RAY_FOLDER
from configs.errors import UserError


def failing(times: int, message: str) -> Callable[[], str]:
    left = [times]

    def start() -> str:
        if left[0]:
            left[0] -= 1
            raise Exception(message)  # what Ray raises
        return "up"

    return start


def test_a_node_that_was_too_slow_is_started_again() -> None:
    assert patiently(failing(ATTEMPTS - 1, f"The current node {TOO_SLOW}.")) == "up"


def test_what_a_start_in_vain_has_left_of_ray_is_ended_and_nothing_else() -> None:
    def begun(place: str) -> int:
        program = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
        process = subprocess.Popen([sys.executable, "-c", program, place], stdout=subprocess.PIPE)
        assert process.stdout is not None
        pids[process.pid] = int(process.stdout.readline())
        return process.pid

    pids: dict[int, int] = {}  # each with its child's
    start = failing(1, TOO_SLOW)
    first, others, rays = begun(RAY_FOLDER + "gcs"), list[int](), list[int]()

    def begin() -> str:
        others.append(begun("wandb-core"))
        rays.append(begun(RAY_FOLDER + "gcs"))
        return start()

    try:
        patiently(begin)
        there = {pid: is_there(pid) and is_there(child) for pid, child in pids.items()}
        assert there == {first: True, others[0]: True, rays[0]: False, others[1]: True, rays[1]: True}
        assert not is_there(pids[rays[0]])
    finally:
        end_processes([psutil.Process(pid) for pair in pids.items() for pid in pair if is_there(pid)], grace_s=0)


def is_there(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_machine_that_is_always_too_busy_is_named() -> None:
    with pytest.raises(UserError, match="too busy"):
        patiently(failing(ATTEMPTS, TOO_SLOW))


def test_a_dashboard_that_never_answers_is_named_with_its_log() -> None:
    said = "\nThe last 20 lines of /tmp/ray/session_1/logs/dashboard.log (it contains the error): \nINFO"
    assert patiently(failing(ATTEMPTS - 1, said)) == "up"
    with pytest.raises(UserError, match=r"its dashboard did not answer, whose log is /tmp/ray/session_1/logs/dashboard\.log;"):
        patiently(failing(ATTEMPTS, said))


def test_a_port_that_another_took_meanwhile_is_chosen_anew() -> None:
    said = f"Failed to bind to 127.0.0.1:41779 because it's {TAKEN}. You can use `ray start --dashboard-port ...`"
    assert patiently(failing(ATTEMPTS - 1, said)) == "up"
    with pytest.raises(UserError, match="a port that was free was taken before Ray had it"):
        patiently(failing(ATTEMPTS, said))


def test_another_failure_is_not_tried_again() -> None:
    start = failing(1, "no such file")
    with pytest.raises(Exception, match="no such file"):
        patiently(start)
    assert start() == "up"


def test_the_words_are_still_those_of_ray() -> None:
    assert TOO_SLOW in " ".join(Path(node.__file__).read_text(encoding="utf-8").split())
    assert TAKEN in Path(services.__file__).read_text(encoding="utf-8")
    assert "lines of {dashboard_log} " in Path(services.__file__).read_text(encoding="utf-8")
