"""Starts a local Ray again where a busy machine kept it from coming up in time.

Owns that one retry. Ray gives a new node 30 seconds, which no setting of its own changes, and says so with a bare
`Exception`. Does not: retry anything else.
"""

from collections.abc import Callable
from typing import TypeVar

import ray

from configs.errors import UserError

T = TypeVar("T")
TOO_SLOW = "timed out during startup"  # in what Ray says
ATTEMPTS = 3


def patiently(start: Callable[[], T]) -> T:
    """What `start` returns. Raises UserError when the node was too slow every time, and whatever else `start` raises."""
    for _ in range(ATTEMPTS):
        try:
            return start()
        except Exception as failure:
            if TOO_SLOW not in str(failure):
                raise
            ray.shutdown()
    raise UserError(
        f"a local Ray node did not come up within Ray's 30 s, {ATTEMPTS} times; the machine is too busy: end what else runs "
        "on it, or use --local"
    )
