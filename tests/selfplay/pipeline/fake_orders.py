"""Orders for another number of generators, and what was told of them."""

import asyncio
from collections.abc import Callable

from selfplay.pipeline.scaling import Change, Order


class FakeOrders:
    """Implements `selfplay.pipeline.scaling.Orders` in memory."""

    def __init__(self) -> None:
        self.order: Order | None = None
        self.told: list[Change] = []

    def newest(self) -> Order | None:
        return self.order

    def tell(self, change: Change) -> None:
        self.told.append(change)

    def ask(self, number: int) -> None:
        self.order = Order(number=number, asked=(self.order.asked if self.order else 0.0) + 1.0)

    def ends(self) -> list[tuple[str, int]]:
        return [(change.state, change.serving) for change in self.told if change.state != "going_on"]

    async def said(self, this: Callable[[Change], bool], timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not any(this(change) for change in self.told):
                await asyncio.sleep(0.1)
