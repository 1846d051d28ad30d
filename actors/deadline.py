"""The only place that waits for Ray: every wait has a deadline and says who waits for whom.

A UserError raised inside an actor arrives as itself. A dead actor or a late answer is an ActorLost, an exception inside an
actor a UserError, of one line each (the original is its cause). The first failure is reported at once, not after the
slowest answer.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    GetTimeoutError,
    ObjectStoreFullError,
    OutOfDiskError,
    RayError,
    RayTaskError,
)

from configs.errors import UserError

# Ray's words → ours; Ray cannot tell a kill from a crash, so neither do we.
CAUSES_OF_DEATH = {
    "node was terminated": "its node is gone",
    "node died": "its node is gone",
    "memory running low": "Ray ended it because the node ran out of memory",
    "connection error code": "its process was killed or crashed; too little memory is the usual cause",
    "ray.kill": "it was ended",
}
FULL = (ObjectStoreFullError, OutOfDiskError)
RESUME = "the same command resumes from the last checkpoint"


class ActorLost(UserError):
    """These actors died or do not answer; `why` is that without what a user can do, for where it is mended instead."""

    def __init__(self, message: str, who: Sequence[str] = (), why: str = "") -> None:
        super().__init__(message)
        self.who, self.why = tuple(who), why


def wait(
    refs: Sequence[Any], timeout_s: float, what: str, who: Sequence[str], answered: Callable[[str], None] | None = None
) -> list[Any]:
    """The values of the references, in order. `who[i]` is the actor that answers `refs[i]`, `what` the call.

    `answered` is told who as the answers come.
    """
    names = dict(zip(refs, who, strict=True))
    ends = time.monotonic() + timeout_s
    values: dict[Any, Any] = {}
    pending = list(refs)
    while pending:
        done, pending = ray.wait(pending, num_returns=1, timeout=max(0.0, ends - time.monotonic()))
        if not done:
            raise _late(what, timeout_s, [names[ref] for ref in pending])
        for ref in done:
            values[ref] = _fetch(ref, max(1.0, ends - time.monotonic()), what, names[ref])
            if answered is not None:
                answered(names[ref])
    return [values[ref] for ref in refs]


async def answer(ref: Any, timeout_s: float, what: str, who: str) -> Any:
    """The value of one reference, for an event loop."""
    done, _ = await asyncio.wait({asyncio.wrap_future(ref.future())}, timeout=timeout_s)
    for one in done:
        one.exception()  # told below, in our words
    if not done:
        raise _late(what, timeout_s, [who])
    return _fetch(ref, 1.0, what, who)


def put(value: Any, who: str) -> Any:
    """A reference to the value in the object store."""
    try:
        return ray.put(value)
    except FULL as error:
        raise UserError(f"{who}: {_full(error)}") from error


def _fetch(ref: Any, timeout_s: float, what: str, who: str) -> Any:
    try:
        return ray.get(ref, timeout=timeout_s)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, FULL):
            raise UserError(f"{who} in {what}: {_full(cause)}") from error
        raise UserError(f"{who} failed in {what}: {type(cause).__name__}: {first_line(cause)}; {RESUME}") from error
    except GetTimeoutError as error:
        raise _late(what, timeout_s, [who]) from error
    except (ActorDiedError, ActorUnavailableError) as error:
        why = f"died in {what} ({cause_of_death(error)})"
        raise ActorLost(f"{who} {why}; {RESUME}", [who], why) from error
    except RayError as error:
        raise UserError(f"{who} was lost in {what}: {type(error).__name__}: {first_line(error)}; {RESUME}") from error


def _late(what: str, timeout_s: float, who: Sequence[str]) -> ActorLost:
    why = f"gave no answer to {what} within {timeout_s:g} s"
    return ActorLost(
        f"{', '.join(who)} {why}; look at its log, "
        f"or raise cluster.call_timeout_s (cluster.start_timeout_s for a start) on a slow machine; {RESUME}",
        who,
        why,
    )


def _full(error: BaseException) -> str:
    return (
        f"the object store is full, and so is the disk that it spills to ({first_line(error)}); raise "
        f"cluster.object_store_mib, or free space under Ray's temporary folder (RAY_TMPDIR); {RESUME}"
    )


def first_line(error: BaseException | str) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def cause_of_death(error: RayError) -> str:
    """What Ray knows about the end of the process, in a few words."""
    text = str(error)
    for mark, cause in CAUSES_OF_DEATH.items():
        if mark in text:
            return cause
    return first_line(text)[:160]
