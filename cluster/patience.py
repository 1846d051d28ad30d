"""Starts a local Ray again where a busy machine kept it from coming up.

Owns that one retry. Ray gives a new node, and its dashboard, some tens of seconds, which no setting of its own changes, and
says so with a bare `Exception`; and a free port that was chosen for it may be another's before it binds. What a start in
vain has left running is ended before the next: Ray itself does that at exit, and until then its processes would keep the
machine busier still. Does not: retry anything else.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import ray

from cluster.processes import end_processes
from cluster.ray_processes import children, ray_processes
from configs.errors import UserError

T = TypeVar("T")
TOO_SLOW = "timed out during startup"  # in what Ray says
TAKEN = "already occupied"  # the same, of a port that was free when it was chosen
DASHBOARD_LOG = re.compile(r"(\S+dashboard\.log)")  # the same, of a dashboard that does not answer: the last lines of its log
ATTEMPTS = 3


def patiently(start: Callable[[], T]) -> T:
    """What `start` returns, which chooses its ports anew each time. Raises UserError when the node was too slow or its port
    taken every time, and whatever else `start` raises."""
    why, before = "", children()
    for _ in range(ATTEMPTS):
        try:
            return start()
        except Exception as failure:
            why = _late(str(failure))
            if not why:
                raise
            ray.shutdown()
            end_processes(ray_processes(before), grace_s=0)
    raise UserError(
        f"a local Ray node did not come up, {ATTEMPTS} times: {why}; the machine is too busy: end what else runs on it, or use "
        "--local"
    )


def _late(said: str) -> str:
    """Empty where it is about something else."""
    if TOO_SLOW in said:
        return "Ray waits 30 s for it"
    if TAKEN in said:
        return "a port that was free was taken before Ray had it"
    log = DASHBOARD_LOG.search(said)
    return f"its dashboard did not answer, whose log is {log[1]}" if log else ""
