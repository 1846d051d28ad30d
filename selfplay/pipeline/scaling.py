"""Keeps as many generators as the newest order asks for, while the run goes on.

    order: 3 ──▶ azr-generator-1, -2 join: room ──▶ started ──▶ has the newest weights ──▶ serves
    order: 1 ──▶ azr-generator-2, -1 leave: nothing new ──▶ holds nothing, or left it to the others ──▶ ended
    a node is to be drained ──▶ its generators are replaced elsewhere, then leave

Invariant: what is there is compared with what is wanted about once a second, so that orders may overtake each other. Those
with the highest numbers leave first, and never the last one that serves. Who waits for room waits until there is some; who
fails to start, or has died too often, is tried again by the next order only. Knows neither Ray nor files.
"""

import asyncio
from collections.abc import Set
from dataclasses import dataclass
from itertools import count, islice
from typing import Literal, Protocol

from configs.errors import UserError

LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """So many generators; `asked` (Unix time) tells orders apart, and is 0 for what the configuration asks for."""

    number: int
    asked: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """News of an order: `done` when it is carried out, `short` where it cannot be, for now; `line` is for people."""

    asked: float
    state: Literal["going_on", "done", "short"]
    serving: int
    line: str


class Orders(Protocol):
    """Where orders come from and news go to. Both return at once."""

    def newest(self) -> Order | None:
        """None: nobody has asked for another number than the configuration's."""

    def tell(self, change: Change) -> None: ...


class Waits(Protocol):
    def __call__(self, number: int, why: str) -> None:
        """This generator cannot join for now, and why."""


class Elastic(Protocol):
    """Generators that come and go, by number."""

    def name(self, number: int) -> str: ...

    async def join(self, number: int, waits: Waits) -> int:
        """Returns once it serves: with which version. Raises UserError, with nothing left of it, where it cannot start."""

    async def leave(self, number: int) -> int:
        """Returns once nothing is left of it: how many of its requests were left to the others."""

    def gone(self) -> Set[int]:
        """Who died and will not come back."""

    async def doomed(self) -> Set[int]:
        """Whose node is about to leave."""


class Scaling:
    """Begins with the generators 0 … number − 1, which serve already."""

    def __init__(self, elastic: Elastic, orders: Orders, number: int, default: int) -> None:
        """`default`: what the configuration asks for."""
        self._elastic, self._orders = elastic, orders
        self._order = Order(number=default)
        self._serving, self._failed, self._waiting = set(range(number)), set[int](), set[int]()
        self._joining: dict[int, asyncio.Task[None]] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._settled = number == default

    async def run(self) -> None:
        """Until cancelled; who joins then is left to who closes the generators."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._look(group, await self._elastic.doomed())
                await asyncio.sleep(LOOK_S)

    def _look(self, group: asyncio.TaskGroup, doomed: Set[int]) -> None:
        self._read()
        for number in self._serving & self._elastic.gone():
            self._part(group, number)
            self._failed.add(number)
        safe = self._serving - doomed
        there = safe | set(self._joining) | self._failed
        wanted = sorted(there, key=lambda number: (number not in safe, number))
        for number in wanted[self._order.number :]:
            self._part(group, number)
        for number in self._serving & doomed if safe else ():
            self._part(group, number)
        free = (number for number in count() if number not in there | self._serving | set(self._leaving))
        for number in islice(free, max(0, self._order.number - len(there))):
            self._settled = False
            self._joining[number] = group.create_task(self._join(number))
        self._settle()

    def _read(self) -> None:
        order = self._orders.newest()
        if order is not None and order.asked != self._order.asked:
            self._order, self._settled = order, False
            self._failed.clear()

    def _part(self, group: asyncio.TaskGroup, number: int) -> None:
        """With one that serves, joins, or failed to."""
        self._settled = False
        self._failed.discard(number)
        joining = self._joining.pop(number, None)
        if joining is not None or number in self._serving:
            self._serving.discard(number)
            self._waiting.discard(number)
            self._leaving[number] = group.create_task(self._leave(number, joining))

    async def _join(self, number: int) -> None:
        begun = asyncio.get_running_loop().time()
        name = self._elastic.name(number)
        try:
            version = await self._elastic.join(number, self._waits)
        except UserError as error:
            self._failed.add(number)
            self._tell(f"{name} did not join, the others go on: {error}")
        else:
            self._serving.add(number)
            serves = f"serves version {version}" if version >= 0 else "is ready for its first version"
            self._tell(f"{name} {serves} after {asyncio.get_running_loop().time() - begun:.1f} s")
        del self._joining[number]
        self._waiting.discard(number)

    async def _leave(self, number: int, joining: asyncio.Task[None] | None) -> None:
        begun = asyncio.get_running_loop().time()
        if joining is not None:
            joining.cancel()
            await asyncio.wait({joining})
        try:
            left = await self._elastic.leave(number)
        except UserError as error:
            self._tell(str(error))
        else:
            others = f"; {left} of its requests were left to the others" if left else ""
            seconds = asyncio.get_running_loop().time() - begun
            self._tell(f"{self._elastic.name(number)} has ended after {seconds:.1f} s{others}")
        del self._leaving[number]

    def _waits(self, number: int, why: str) -> None:
        self._waiting.add(number)
        self._tell(f"{self._elastic.name(number)} waits for room: {why}; it joins once there is some, the others go on")

    def _settle(self) -> None:
        """Says once that nothing more will happen by itself."""
        if self._settled or self._leaving or set(self._joining) - self._waiting:
            return
        self._settled = True
        serving, number = len(self._serving), self._order.number
        if serving == number:
            self._tell(f"{serving} generator{'s serve' if serving > 1 else ' serves'}", "done")
        else:
            self._tell(f"{serving} of {number} generators serve", "short")

    def _tell(self, line: str, state: Literal["going_on", "done", "short"] = "going_on") -> None:
        self._settled = self._settled and state != "going_on"
        self._orders.tell(Change(asked=self._order.asked, state=state, serving=len(self._serving), line=line))
