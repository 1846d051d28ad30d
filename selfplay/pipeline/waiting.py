"""How the pipeline waits: with a deadline that names both sides, and for blocking parts in threads of their own.

Invariant: a part is called by one caller at a time, in the order of the calls, as in the synchronous loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from configs.errors import UserError

T = TypeVar("T")


async def within(timeout_s: float, waiter: str, awaited: Callable[[], str], awaitable: Awaitable[T]) -> T:
    """The awaitable's value. UserError when it is late; `awaited` says then what for, with what is known of it."""
    timer = asyncio.timeout(timeout_s)
    try:
        async with timer:
            return await awaitable
    except TimeoutError:
        if not timer.expired():
            raise
        raise UserError(
            f"{waiter} waited {timeout_s:g} s for {awaited()}; look at its log, or raise pipeline.batch_timeout_s where the "
            "work takes so long; the same command resumes from the last checkpoint"
        ) from None


class Calls(Protocol):
    async def __call__(self, stage: str, part: str, function: Callable[..., T], *args: Any) -> T:
        """Calls a blocking function of a part without holding up the event loop."""


class Threads:
    """Implements `Calls` with one thread per part."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._pools: dict[str, ThreadPoolExecutor] = {}

    async def __call__(self, stage: str, part: str, function: Callable[..., T], *args: Any) -> T:
        if part not in self._pools:
            self._pools[part] = ThreadPoolExecutor(1, thread_name_prefix=part)
        call = asyncio.get_running_loop().run_in_executor(self._pools[part], function, *args)
        return await within(self._timeout_s, stage, lambda: f"{part}.{getattr(function, '__name__', 'call')}", call)

    def close(self) -> None:
        """Waits for nothing: a call that is under way ends by the deadline of its part."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
