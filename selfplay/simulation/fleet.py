"""Several engines of the model behind the router's rule: each request goes to the one that has the fewest in flight.

The double of selfplay.pipeline.router: earlier steps go first, at most `in_flight` requests to an engine. Nobody dies here.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count, pairwise

from selfplay.simulation.engine import EngineModel


@dataclass(frozen=True, slots=True)
class Asked:
    tokens: float
    oldest: int
    done: Callable[[int], None]


class ModelFleet:
    """`submit` for the pipeline, `split` for the synchronous loop."""

    def __init__(self, engines: Sequence[EngineModel], in_flight: int) -> None:
        self.engines = engines
        self._in_flight = in_flight
        self._held = [0] * len(engines)
        self._freest = [(0, index) for index in range(len(engines))]  # in order
        self._waiting: list[tuple[int, int, Asked]] = []
        self._numbers = count()

    def submit(self, step: int, tokens: float, oldest: int, done: Callable[[int], None]) -> None:
        heappush(self._waiting, (step, next(self._numbers), Asked(tokens, oldest, done)))
        self._dispatch()

    def split(self, tokens: Sequence[float], version: int, done: Callable[[int], None]) -> None:
        """What all comes at once."""
        for engine, share in zip(self.engines, balanced(tokens, len(self.engines)), strict=True):
            for number in share:
                engine.submit(number, version, done)

    def load(self, version: int) -> None:
        for engine in self.engines:
            engine.load(version)

    def _dispatch(self) -> None:
        while self._waiting and self._freest[0][0] < self._in_flight:
            asked, (_, index) = heappop(self._waiting)[2], self._freest[0]
            self._hold(index, 1)
            self.engines[index].submit(asked.tokens, asked.oldest, partial(self._answered, index, asked.done))

    def _hold(self, index: int, more: int) -> None:
        del self._freest[bisect_left(self._freest, (self._held[index], index))]
        self._held[index] += more
        insort(self._freest, (self._held[index], index))

    def _answered(self, index: int, done: Callable[[int], None], version: int) -> None:
        self._hold(index, -1)
        done(version)
        self._dispatch()


def balanced(tokens: Sequence[float], num_shares: int) -> list[Sequence[float]]:
    """Contiguous shares, as the actors of a fleet get them in the synchronous loop; the larger ones first."""
    size, extra = divmod(len(tokens), num_shares)
    bounds = [index * size + min(index, extra) for index in range(num_shares + 1)]
    return [tokens[low:high] for low, high in pairwise(bounds)]
