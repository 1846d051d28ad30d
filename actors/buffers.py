"""The Ray shell of the task buffers: one actor, small records only."""

import os
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path

from buffers.buffers import BuffersSnapshot, TaskBuffers
from buffers.census import Census, family_traits, no_traits
from configs.play_sections import FamilySection
from tasks.family import load_family
from tasks.records import Kind, Task


class BuffersActor:
    """State lives in this process and in checkpoints; who asks remembers what came after the newest (actors.fleet)."""

    def __init__(self, name: str, kinds: Sequence[Kind], capacity: int, family: FamilySection | None = None) -> None:
        """`family`: whose traits the census counts; None: it counts difficulties only."""
        self._name = name
        traits = family_traits(load_family(family.name, family.options)) if family else no_traits
        self._buffers = TaskBuffers(kinds, capacity, traits)
        self._snapshot: BuffersSnapshot | None = None

    def __repr__(self) -> str:
        return self._name

    def start(self) -> int:
        """Returns this process' id."""
        return os.getpid()

    def sample(self, kind: Kind, count: int, seed: int, hardest: float = inf) -> list[Task]:
        return self._buffers.sample(kind, count, seed, hardest)

    def failed(self, kind: Kind, count: int, seed: int, rate: float, hardest: float = inf) -> list[Task]:
        return self._buffers.failed(kind, count, seed, rate, hardest)

    def frontier(self, kind: Kind, count: int, seed: int, hardest: float = inf) -> list[Task]:
        return self._buffers.frontier(kind, count, seed, hardest)

    def learnable(self, newest: int) -> dict[Kind, tuple[int, int]]:
        return self._buffers.learnable(newest)

    def references(self, kind: Kind, draws: int, count: int, seed: int) -> list[list[Task]]:
        return self._buffers.references(kind, draws, count, seed)

    def programs(self, count: int, seed: int) -> list[str]:
        return self._buffers.programs(count, seed)

    def known(self, fingerprints: Sequence[str]) -> list[bool]:
        return self._buffers.known(fingerprints)

    def add(self, tasks: Sequence[Task], solve_rates: Sequence[float | None]) -> list[bool]:
        return self._buffers.add(tasks, solve_rates)

    def record(self, solve_rates: Mapping[str, float]) -> None:
        self._buffers.record(solve_rates)

    def census(self) -> dict[Kind, Census]:
        return self._buffers.census()

    def sizes(self) -> dict[Kind, int]:
        return self._buffers.sizes()

    def snapshot(self, path: Path) -> None:
        """Keeps it here until `write`."""
        self._snapshot = self._buffers.snapshot(path)

    def write(self) -> None:
        """Runs beside the other calls."""
        assert self._snapshot is not None, f"{self._name} has no snapshot to write"
        snapshot, self._snapshot = self._snapshot, None
        snapshot.write()

    def load(self, path: Path) -> None:
        self._buffers.load(path)

    def close(self) -> None:
        """Holds nothing outside its process."""
