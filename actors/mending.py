"""What a fleet needs to make a lost actor anew: its budget, its news, and what the actor was told.

    load ──▶ change ──▶ change ──▶ snapshot ──▶ change                    remembered, in order
    └──────── a checkpoint holds them ────────┘   ▲
    load(checkpoint) ─────────────────────────────┘                       once that is whole

Invariant: an actor that is told all of a History, in order, holds what the lost one held after its last call that was
answered. Does not: call anybody (actors.fleet does).
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WINDOW_S = 3600.0
LOAD, SNAPSHOT = "load", "snapshot"
Call = tuple[str, tuple[Any, ...]]  # a method and its arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Actors were lost, or with `seconds` are back after so long; `line` is for people."""

    who: tuple[str, ...]
    line: str
    seconds: float | None = None


Told = Callable[[Fault], None]


def ignore(fault: Fault) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mending:
    """How a run goes on after the loss of an actor; without a restart, the first loss ends it."""

    restarts: int = 0  # of one actor within an hour
    start_timeout_s: float = 600.0
    told: Told = ignore


NONE = Mending()  # the first loss is an error


class Budget:
    """Restarts that an actor has had within the hour."""

    def __init__(self, restarts: int) -> None:
        self._restarts = restarts
        self._spent: dict[str, deque[float]] = {}

    def spend(self, who: str) -> int:
        """Which restart of the hour this is; 0 where none is left."""
        now, spent = time.monotonic(), self._spent.setdefault(who, deque())
        while spent and spent[0] < now - WINDOW_S:
            spent.popleft()
        if len(spent) >= self._restarts:
            return 0
        spent.append(now)
        return len(spent)


class History:
    """The calls that made an actor what it is. `changes`: the methods that do."""

    def __init__(self, changes: Sequence[str]) -> None:
        self.changes = frozenset(changes)
        self.calls: list[Call] = []

    def add(self, method: str, args: tuple[Any, ...]) -> None:
        """A load takes the place of everything before it."""
        if method == LOAD:
            self.calls.clear()
        self.calls.append((method, args))

    def kept(self, snapshot: Path, path: Path) -> None:
        """What was snapshot is a whole checkpoint now, and lies at `path`."""
        if (SNAPSHOT, (snapshot,)) in self.calls:
            later = self.calls[self.calls.index((SNAPSHOT, (snapshot,))) + 1 :]
            self.calls = [(LOAD, (path,)), *later]
