"""What a buffer holds, counted: how many tasks have each trait, and how many each difficulty.

Owns the counts, kept up as tasks come and go; a count never depends on the order in which they came. A trait is a named
value of a task, with few values: the family's own, the task's size, and all of these together. Does not: keep tasks.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log2
from typing import Protocol, TypeVar, runtime_checkable

from tasks.family import Family
from tasks.records import Draft, Task

T = TypeVar("T")
Traits = Callable[[Task], Mapping[str, str]]
SIZE, ALL = "size", "all"  # the traits that every family's tasks have
BUCKETS_PER_DOUBLING = 2


@runtime_checkable
class Describes(Protocol):
    """A family that says more of a draft for diversity than the `features` by which evaluations are broken down."""

    def traits(self, draft: Draft) -> Mapping[str, str]:
        """Named values; few per name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """One kind's counts. traits: tasks by name and value of a trait; difficulties: tasks by difficulty."""

    size: int
    traits: Mapping[str, Mapping[str, int]]
    difficulties: Mapping[float, int]


class Tally:
    """The running counts behind a census."""

    def __init__(self, traits: Traits) -> None:
        self._traits = traits
        self._names: dict[str, Counter[str]] = {}
        self._difficulties: Counter[float] = Counter()

    def add(self, task: Task) -> None:
        self._difficulties[task.difficulty] += 1
        for name, value in self._traits(task).items():
            self._names.setdefault(name, Counter())[value] += 1

    def remove(self, task: Task) -> None:
        """A task that was added before."""
        _decrement(self._difficulties, task.difficulty)
        for name, value in self._traits(task).items():
            _decrement(self._names[name], value)

    def census(self) -> Census:
        """A copy, which later tasks do not change."""
        names = {name: dict(counts) for name, counts in self._names.items()}
        return Census(size=self._difficulties.total(), traits=names, difficulties=dict(self._difficulties))


def no_traits(task: Task) -> Mapping[str, str]:
    """For buffers that are not asked for them."""
    del task
    return {}


def family_traits(family: Family) -> Traits:
    """The traits of tasks of this family."""

    def traits(task: Task) -> Mapping[str, str]:
        inputs = tuple(pair.input for pair in task.pairs)
        draft = Draft(kind=task.kind, program=task.program, inputs=inputs, message=task.message)
        own = family.traits(draft) if isinstance(family, Describes) else family.features(draft)
        named = {**own, SIZE: _bucket(task.difficulty)}
        return named | {ALL: " ".join(named.values())}

    return traits


def _bucket(difficulty: float) -> str:
    """Half doublings: the bounds of difficulty differ from family to family."""
    return str(round(BUCKETS_PER_DOUBLING * log2(max(1.0, difficulty))))


def _decrement(counts: Counter[T], key: T) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
