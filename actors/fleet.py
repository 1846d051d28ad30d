"""A group of Ray actors of one class: spawned together, called with deadlines, made anew when lost, ended together.

    a call fails: its actor died, or is late ──▶ killed for certain ──▶ a new one in the same bundle ──▶ start
        ──▶ the calls that made the lost one what it was, again (actors.mending) ──▶ the call that failed, again

Invariants: the actors' number and order are fixed, so that a split of work over them is a pure function of the work; a call
is answered as if no actor had been lost; after `close` none of their processes is left. Calls that change an actor come
one at a time. It does not know what the actors do.
"""

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray

from actors.deadline import ActorLost, wait
from actors.mending import NONE, Budget, Fault, History, Mending
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What a class' actors have in common, for one to be made anew.

    `begin` asks these actors to start, and returns the references to their answers. `changes`: methods after which an actor
    is another one. `together`: the loss of one is the loss of all.
    """

    begin: Callable[["Fleet", Sequence[int]], list[Any]]
    changes: Sequence[str] = ()
    together: bool = False
    mending: Mending = NONE


class Fleet:
    """Calls go to all actors at once; `calls[i]` are the arguments for actor i.

    Methods named in `beside` run in a thread of their own in the actor, so that they hold up none of its other calls.
    Without a `life`, a lost actor is an error.
    """

    def __init__(
        self,
        shell: type,
        berths: Sequence[Berth],
        run: str,
        call_timeout_s: float,
        beside: Sequence[str] = (),
        life: Life | None = None,
    ) -> None:
        # The first failure ends the call and is told in one line; Ray would print the stack of each later one.
        os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
        self.names = [berth.name for berth in berths]
        self._berths, self._run, self._call_timeout_s = berths, run, call_timeout_s
        self._busy: deque[tuple[str, Span]] = deque(maxlen=KEPT_SPANS)
        self._groups = {method: {"concurrency_group": BESIDE} for method in beside}
        self._class: Any = ray.remote(concurrency_groups={BESIDE: 1})(shell) if beside else ray.remote(shell)
        self._life = life
        self._history = History(life.changes if life else ())
        self._budget = Budget(life.mending.restarts if life else 0)
        self._lock = threading.RLock()  # held by calls that change an actor, and by who makes one anew
        self._guard = threading.Lock()  # held while actors are exchanged: `close` does not wait for who makes one anew
        self._num_spawned, self._closed = 0, False
        self._actors: list[Any] = []
        for berth in berths:
            try:
                self._actors.append(self._spawn(berth, f"{berth.name}@{run}"))
            except ValueError as error:  # the name is taken
                self.close()
                raise UserError(
                    f"{berth.name} of run {run} exists on this cluster already; wait for that run or set run.name"
                ) from error

    def __len__(self) -> int:
        return len(self.names)

    def handles(self) -> dict[str, Any]:
        """The actors by name, for who calls them in another way."""
        return dict(zip(self.names, self._actors, strict=True))

    def submit(self, method: str, calls: Sequence[tuple[Any, ...]], whom: Sequence[int] | None = None) -> list[Any]:
        """References to the answers of the first len(calls) actors, or of `whom`, without waiting."""
        actors = self._here(method)
        asked = actors if whom is None else [actors[index] for index in whom]
        return [self._ask(actor, method, args) for actor, args in zip(asked, calls, strict=False)]

    def gather(self, refs: Sequence[Any], method: str, timeout_s: float | None = None) -> list[Any]:
        """The answers to `submit`, in order, within the deadline."""
        return wait(refs, timeout_s or self._call_timeout_s, method, self.names[: len(refs)])

    def each(self, method: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        if method not in self._history.changes:
            return self._each(method, calls)
        with self._lock:
            answers = self._each(method, calls)
            self._history.add(method, calls[0])  # all are told the same
            return answers

    def take_busy(self) -> list[tuple[str, Span]]:
        """Who was busy with which call since this was asked last: from the call until its answer was here."""
        return [self._busy.popleft() for _ in range(len(self._busy))]

    def all(self, method: str, *args: Any) -> list[Any]:
        return self.each(method, [args] * len(self))

    def first(self, method: str, *args: Any) -> Any:
        return self.each(method, [args])[0]

    def split(self, method: str, items: Sequence[T], alike: Callable[[T], Hashable] = id) -> list[Any]:
        """Shares of the items as `dealt` gives them, one call per actor that gets any; the answers in the items' order.

        `alike`: neighbours of which it gives the same go to one actor.
        """
        shares = [share for share in dealt([alike(item) for item in items], len(self)) if share]
        told = self.each(method, [([items[position] for position in share],) for share in shares])
        answers = {
            position: one for share, part in zip(shares, told, strict=True) for position, one in zip(share, part, strict=True)
        }
        return [answers[position] for position in range(len(items))]

    def kept(self, snapshot: Path, path: Path) -> None:
        """What was told to the actors before this snapshot need not be told again: it is in the checkpoint at `path`."""
        with self._lock:
            self._history.kept(snapshot, path)

    def mend(self, lost: ActorLost, seen: Sequence[Any]) -> None:
        """Makes the lost ones of the actors that were `seen` anew; nothing is left to do where another thread has.

        Raises the loss where that is not possible (any more).
        """
        with self._lock:
            whom = [index for index, name in enumerate(self.names) if name in lost.who]
            actors = self._actors  # none once the fleet is closed
            if self._life is None or not whom or not actors:
                raise lost
            if not any(actors[index] is seen[index] for index in whom if index < len(seen)):
                return
            begun = time.monotonic()
            while True:
                number = self._spend(lost, whom)
                try:
                    whom = list(range(len(self))) if self._life.together else whom
                    self._make_anew(whom, self._life)
                    break
                except ActorLost as again:
                    lost = again
            self._tell_back([self.names[index] for index in whom], number, time.monotonic() - begun)

    def close(self) -> None:
        """Asks each actor to release what it holds, then ends its process. Safe to call again and for dead actors."""
        with self._guard:
            self._closed = True
            actors, self._actors = self._actors, []
        if not actors or not ray.is_initialized():
            return
        asked = [actor.close.remote() for actor in actors]
        ray.wait(asked, num_returns=len(asked), timeout=GRACE_S)
        left = _end(self.names, actors)
        if left:
            raise UserError(f"{', '.join(left)} did not end within {END_TIMEOUT_S:g} s; end its process by hand")

    def _spawn(self, berth: Berth, name: str) -> Any:
        # Ray would restart it without its state.
        options = {"max_restarts": 0, "max_task_retries": 0, **berth.options}
        return self._class.options(name=name, **options).remote(berth.name, *berth.args)

    def _here(self, method: str) -> list[Any]:
        """The actors, as they are now; another thread may close the fleet at any time."""
        actors = self._actors
        if not actors:
            raise UserError(f"{self.names[0]} is not asked for {method}: the run has ended")
        return actors

    def _ask(self, actor: Any, method: str, args: tuple[Any, ...]) -> Any:
        return getattr(actor, method).options(**self._groups.get(method, {})).remote(*args)

    def _each(self, method: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        begin_s, begun = time.time(), time.perf_counter()
        spans: dict[str, Span] = {}

        def answered(name: str) -> None:
            spans.setdefault(name, Span(name=method, begin_s=begin_s, seconds=time.perf_counter() - begun))

        seen = self._here(method)[: len(calls)]
        refs = [self._ask(actor, method, args) for actor, args in zip(seen, calls, strict=True)]
        while True:
            try:
                answers = wait(refs, self._call_timeout_s, method, self.names[: len(calls)], answered)
                break
            except ActorLost as lost:
                self.mend(lost, seen)
            for index, actor in enumerate(self._actors[: len(calls)]):
                if actor is not seen[index]:
                    seen[index], refs[index] = actor, self._ask(actor, method, calls[index])
        if method not in self._groups:
            self._busy.extend(spans.items())
        return answers

    def _spend(self, lost: ActorLost, whom: Sequence[int]) -> int:
        """Which restart of the hour it is; raises the loss where it is one too many."""
        assert self._life is not None
        names = [self.names[index] for index in whom if self.names[index] in lost.who] or list(lost.who)
        number = [self._budget.spend(name) for name in names]
        restarts = self._life.mending.restarts
        if not all(number):
            if not restarts:
                raise lost
            often = f"it was made anew {restarts} times within the hour (cluster.restarts)"
            raise ActorLost(f"{lost}; {often}", lost.who, f"{lost.why}; {often}") from lost
        line = f"{', '.join(names)} {lost.why}; it is made anew, nothing is lost"
        self._life.mending.told(Fault(who=tuple(names), line=line))
        return max(number)

    def _make_anew(self, whom: Sequence[int], life: Life) -> None:
        names = [self.names[index] for index in whom]
        actors = self._actors
        left = _end(names, [actors[index] for index in whom]) if actors else []
        if left:
            raise UserError(f"{', '.join(left)} cannot be ended within {END_TIMEOUT_S:g} s; look at its node")
        with self._guard:
            if self._closed:
                raise UserError(f"{', '.join(names)} is not made anew: the run has ended")
            for index in whom:
                self._num_spawned += 1  # a dead actor's name is given free later than its death is told
                berth = self._berths[index]
                self._actors[index] = self._spawn(berth, f"{berth.name}@{self._run}+{self._num_spawned}")
        wait(life.begin(self, whom), life.mending.start_timeout_s, "start", names)
        for method, args in self._history.calls:
            wait(self.submit(method, [args] * len(whom), whom), self._call_timeout_s, method, names)

    def _tell_back(self, names: Sequence[str], number: int, seconds: float) -> None:
        assert self._life is not None
        changes = f"{len(self._history.calls)} changes made again" if self._history.calls else "there was no state"
        of = f"restart {number} of {self._life.mending.restarts} within an hour"
        line = f"{', '.join(names)} is back after {seconds:.1f} s ({changes}; {of})"
        self._life.mending.told(Fault(who=tuple(names), line=line, seconds=seconds))


def _end(names: Sequence[str], actors: Sequence[Any]) -> list[str]:
    """Ends their processes; the names of those that are still there after the deadline."""
    for actor in actors:
        ray.kill(actor, no_restart=True)
    # A call to an ended actor fails as soon as its end is known; one that is still queued shows an actor that lives on.
    ended = [actor.close.remote() for actor in actors]
    _, alive = ray.wait(ended, num_returns=len(ended), timeout=END_TIMEOUT_S)
    return [name for name, ref in zip(names, ended, strict=True) if ref in alive]


def dealt(keys: Sequence[Hashable], num_shares: int) -> list[list[int]]:
    """Positions of each share: runs of equal keys, one after the other, to the share that has least so far.

    Work that is alike lies together (a task's attempts, a kind's tasks): whole stretches would give one actor all that is
    slow. Runs stay whole for the sake of prefix caches, unless they are more than a fair share.
    """
    fair = -(-len(keys) // num_shares)
    shares: list[list[int]] = [[] for _ in range(num_shares)]
    for _, same in itertools.groupby(range(len(keys)), keys.__getitem__):
        run = list(same)
        for begin in range(0, len(run), fair):
            min(shares, key=len).extend(run[begin : begin + fair])
    return shares
