import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from ray._private import node, services

from cluster.patience import ATTEMPTS, TOO_SLOW, patiently
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


def test_what_a_start_in_vain_has_left_running_is_ended_and_nothing_else() -> None:
    mine, left = subprocess.Popen(["sleep", "60"]), []
    start = failing(1, TOO_SLOW)

    def begin() -> str:
        left.append(subprocess.Popen(["sleep", "60"]))
        return start()

    try:
        patiently(begin)
        assert [psutil.pid_exists(one.pid) for one in left] == [False, True]
        assert mine.poll() is None
    finally:
        for one in (mine, *left):
            one.kill()
            one.wait()


def test_a_machine_that_is_always_too_busy_is_named() -> None:
    with pytest.raises(UserError, match="too busy"):
        patiently(failing(ATTEMPTS, TOO_SLOW))


def test_a_dashboard_that_never_answers_is_named_with_its_log() -> None:
    said = "\nThe last 20 lines of /tmp/ray/session_1/logs/dashboard.log (it contains the error): \nINFO"
    assert patiently(failing(ATTEMPTS - 1, said)) == "up"
    with pytest.raises(UserError, match=r"its dashboard did not answer, whose log is /tmp/ray/session_1/logs/dashboard\.log;"):
        patiently(failing(ATTEMPTS, said))


def test_another_failure_is_not_tried_again() -> None:
    start = failing(1, "no such file")
    with pytest.raises(Exception, match="no such file"):
        patiently(start)
    assert start() == "up"


def test_the_words_are_still_those_of_ray() -> None:
    assert TOO_SLOW in " ".join(Path(node.__file__).read_text(encoding="utf-8").split())
    assert "lines of {dashboard_log} " in Path(services.__file__).read_text(encoding="utf-8")
