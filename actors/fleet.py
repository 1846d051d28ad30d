"""A group of Ray actors of one class: spawned together, called with deadlines, ended together.

Invariant: the actors' number and order are fixed, so that a split of work over them is a pure function of the work; after
`close` none of their processes is left. It does not know what the actors do.
"""

import itertools
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ray

from actors.deadline import wait
from configs.errors import UserError
from telemetry.records import Span

T = TypeVar("T")
BESIDE = "beside"  # Ray's concurrency group of calls that hold up none of the others
GRACE_S = 5.0  # for an actor to release what it holds
END_TIMEOUT_S = 15.0  # for its process to end after that
KEPT_SPANS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Berth:
    """One actor's name, Ray options (resources, placement, environment) and what its class is made with after the name."""

    name: str
    options: Mapping[str, Any]
    args: tuple[Any, ...] = ()


class Fleet:
    """Calls go to all actors at once; `calls[i]` are the arguments for actor i.

    Methods named in `beside` run in a thread of their own in the actor, so that they hold up none of its other calls.
    """

    def __init__(
        self, shell: type, berths: Sequence[Berth], run: str, call_timeout_s: float, beside: Sequence[str] = ()
    ) -> None:
        # The first failure ends the call and is told in one line; Ray would print the stack of each later one.
        os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
        self.names = [berth.name for berth in berths]
        self._call_timeout_s = call_timeout_s
        self._busy: deque[tuple[str, Span]] = deque(maxlen=KEPT_SPANS)
        self._groups = {method: {"concurrency_group": BESIDE} for method in beside}
        remote_class: Any = ray.remote(concurrency_groups={BESIDE: 1})(shell) if beside else ray.remote(shell)
        self._actors: list[Any] = []
        for berth in berths:
            # A dead actor is an error that names it: restarting an engine or a learner here would lose weights in silence.
            options = {"max_restarts": 0, "max_task_retries": 0, **berth.options}
            try:
                self._actors.append(remote_class.options(name=f"{berth.name}@{run}", **options).remote(berth.name, *berth.args))
            except ValueError as error:  # the name is taken
                self.close()
                raise UserError(
                    f"{berth.name} of run {run} exists on this cluster already; wait for that run or set run.name"
                ) from error

    def __len__(self) -> int:
        return len(self._actors)

    def handles(self) -> dict[str, Any]:
        """The actors by name, for who calls them in another way."""
        return dict(zip(self.names, self._actors, strict=True))

    def submit(self, method: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """References to the answers of the first len(calls) actors, without waiting."""
        group = self._groups.get(method, {})
        return [getattr(actor, method).options(**group).remote(*args) for actor, args in zip(self._actors, calls, strict=False)]

    def gather(self, refs: Sequence[Any], method: str, timeout_s: float | None = None) -> list[Any]:
        """The answers to `submit`, in order, within the deadline."""
        return wait(refs, timeout_s or self._call_timeout_s, method, self.names[: len(refs)])

    def each(self, method: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        begin_s, begun = time.time(), time.perf_counter()

        def answered(name: str) -> None:
            if method not in self._groups:
                self._busy.append((name, Span(name=method, begin_s=begin_s, seconds=time.perf_counter() - begun)))

        return wait(self.submit(method, calls), self._call_timeout_s, method, self.names[: len(calls)], answered)

    def take_busy(self) -> list[tuple[str, Span]]:
        """Who was busy with which call since this was asked last: from the call until its answer was here."""
        return [self._busy.popleft() for _ in range(len(self._busy))]

    def all(self, method: str, *args: Any) -> list[Any]:
        return self.each(method, [args] * len(self))

    def first(self, method: str, *args: Any) -> Any:
        return self.each(method, [args])[0]

    def split(self, method: str, items: Sequence[T]) -> list[Any]:
        """Contiguous, balanced shares of the items, one call per actor that gets any; the answers in the items' order."""
        shares = balanced(items, len(self))
        return [answer for answers in self.each(method, [(share,) for share in shares if share]) for answer in answers]

    def close(self) -> None:
        """Asks each actor to release what it holds, then ends its process. Safe to call again and for dead actors."""
        if not self._actors or not ray.is_initialized():
            self._actors = []
            return
        actors, self._actors = self._actors, []
        asked = [actor.close.remote() for actor in actors]
        ray.wait(asked, num_returns=len(asked), timeout=GRACE_S)
        for actor in actors:
            ray.kill(actor, no_restart=True)
        # A call to an ended actor fails as soon as its end is known; one that is still queued shows an actor that lives on.
        ended = [actor.close.remote() for actor in actors]
        _, alive = ray.wait(ended, num_returns=len(ended), timeout=END_TIMEOUT_S)
        if alive:
            left = [name for name, ref in zip(self.names, ended, strict=True) if ref in alive]
            raise UserError(f"{', '.join(left)} did not end within {END_TIMEOUT_S:g} s; end its process by hand")


def balanced(items: Sequence[T], num_shares: int) -> list[list[T]]:
    """Contiguous shares whose sizes differ by at most one, the larger ones first; some are empty when items are few."""
    size, extra = divmod(len(items), num_shares)
    bounds = [i * size + min(i, extra) for i in range(num_shares + 1)]
    return [list(items[low:high]) for low, high in itertools.pairwise(bounds)]
