"""What an alarm reads off the steps: each meter follows one scalar and says one number, once it has seen enough.

Invariants: a step that did not measure the scalar leaves the meter as it is; a value that is not finite is not measured;
None means that nothing new can be said. The memory is a window of readings and at most one number from before it.
Does not: know thresholds, or what is good.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Protocol

Scalars = Mapping[str, float]
SMALLEST_MISMATCH = 1e-3  # |Δ logprob| in nats below which two programs differ by rounding alone


class Meter(Protocol):
    def read(self, scalars: Scalars, name: str) -> float | None:
        """Takes a step's scalars; the reading after it, or None."""
        ...


class Mean:
    """The mean of the last `size` values."""

    def __init__(self, size: int) -> None:
        self._window = _Window(size, fmean)

    def read(self, scalars: Scalars, name: str) -> float | None:
        return self._window.add(scalars.get(name))


class Growth:
    """last / first − 1 over `size` steps; silent for one that is at `capacity`, which cannot grow."""

    def __init__(self, size: int, capacity: int) -> None:
        self._window = _Window(size + 1, lambda values: values[-1] / max(1.0, values[0]) - 1)
        self._capacity = capacity

    def read(self, scalars: Scalars, name: str) -> float | None:
        growth = self._window.add(scalars.get(name))
        return None if scalars.get(name, 0.0) >= self._capacity else growth


class ShareOfBest:
    """The average of the last `size` values, over the highest such average so far; silent while that is not above 0."""

    def __init__(self, size: int, average: Callable[[Sequence[float]], float] = fmean) -> None:
        self._window = _Window(size, average)
        self._best = 0.0

    def read(self, scalars: Scalars, name: str) -> float | None:
        now = self._window.add(scalars.get(name))
        self._best = max(self._best, now or 0.0)
        return now / self._best if now is not None and self._best > 0 else None


class TimesFirst:
    """The mean of the last `size` values over that of the first `size`, neither taken to be below `floor`."""

    def __init__(self, size: int, floor: float) -> None:
        self._window = _Window(size, fmean)
        self._first: float | None = None
        self._floor = floor

    def read(self, scalars: Scalars, name: str) -> float | None:
        now = self._window.add(scalars.get(name))
        if now is None:
            return None
        now = max(now, self._floor)
        self._first = now if self._first is None else self._first
        return now / self._first


class Fall:
    """How far an accuracy is below its best, in widths from the best to the low end of its interval.

    The smallest such fall of the last `size` evaluations. `name` ends in `accuracy`; its low end lies beside it as `low`.
    """

    def __init__(self, size: int) -> None:
        self._window = _Window(size, min)
        self._best, self._width = -math.inf, 0.0

    def read(self, scalars: Scalars, name: str) -> float | None:
        accuracy = scalars.get(name)
        low = scalars.get(name.removesuffix("accuracy") + "low")
        if accuracy is None or low is None:
            return None
        if accuracy >= self._best:
            self._best, self._width = accuracy, accuracy - low
        return self._window.add((self._best - accuracy) / self._width if self._width > 0 else None)


class NotFinite:
    """How many scalars of the step are not numbers."""

    def read(self, scalars: Scalars, name: str) -> float | None:
        return float(sum(not math.isfinite(value) for value in scalars.values()))


class _Window:
    """An average of the last `size` values; None until there are so many."""

    def __init__(self, size: int, average: Callable[[Sequence[float]], float]) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self._average = average

    def add(self, value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        self._values.append(value)
        return self._average(self._values) if len(self._values) == self._values.maxlen else None


def median_share(size: int) -> ShareOfBest:
    """By the median: a step with an evaluation, or one beside other work, is no slower run."""
    return ShareOfBest(size, median)
