"""The task buffers: one per kind, without duplicates, bounded. References are drawn uniformly.

Uniform, because recency-weighted references were seen to collapse (arXiv 2505.03335, appendix D.3). A full buffer gives
up its oldest proposed task; the zero triplet and generated seeds stay, so that a bad proposer cannot wash them out.
Solve rates are kept with the task, traits are counted (buffers.census). No randomness of its own: every draw takes a seed.
"""

import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from heapq import nlargest
from math import inf, log
from pathlib import Path
from typing import Any

from buffers.census import Census, Tally, Traits, no_traits
from configs.disk import writing
from configs.errors import UserError
from tasks.records import Kind, Origin, Pair, Task
from tasks.seeds import derive_seed

FRONTIER_FLOOR = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A held task with what is known of it. `solve_rate` is the newest measurement, None before the first."""

    task: Task
    solve_rate: float | None


class TaskBuffers:
    """All kinds' buffers. Implements `selfplay.protocols.Buffers`. `traits`: what `census` counts tasks by."""

    def __init__(self, kinds: Sequence[Kind], capacity: int, traits: Traits = no_traits) -> None:
        self._capacity = capacity
        self._traits = traits
        self._tallies = {kind: Tally(traits) for kind in kinds}
        self._entries: dict[str, Entry] = {}  # by fingerprint
        self._order: dict[Kind, list[str]] = {kind: [] for kind in kinds}  # fingerprints, oldest first

    def sizes(self) -> dict[Kind, int]:
        return {kind: len(order) for kind, order in self._order.items()}

    def census(self) -> dict[Kind, Census]:
        return {kind: tally.census() for kind, tally in self._tallies.items()}

    def known(self, fingerprints: Sequence[str]) -> list[bool]:
        return [fingerprint in self._entries for fingerprint in fingerprints]

    def sample(self, kind: Kind, count: int, seed: int, hardest: float = inf) -> list[Task]:
        """Uniform without replacement over tasks no harder than that; fewer than `count` when the buffer holds fewer."""
        return self._draw(self._within(kind, hardest), count, seed)

    def failed(self, kind: Kind, count: int, seed: int, rate: float, hardest: float = inf) -> list[Task]:
        """Like `sample`, among the tasks whose newest solve rate is `rate` or lower; never one that was not measured."""
        rates = ((name, self._entries[name].solve_rate) for name in self._within(kind, hardest))
        return self._draw([name for name, found in rates if found is not None and found <= rate], count, seed)

    def frontier(self, kind: Kind, count: int, seed: int, hardest: float = inf) -> list[Task]:
        """Without replacement, weighted by s(1 − s) of the newest solve rate (arXiv 2502.12272), for the solver to train on.

        Tasks that are always or never solved teach nothing; they keep `FRONTIER_FLOOR`, since their rate may be out of
        date, and unmeasured ones count as s = 1/2. Draws by the keys log(u)/w of Efraimidis and Spirakis.
        """
        rng = random.Random(seed)
        names = self._within(kind, hardest)
        keyed = [(log(1 - rng.random()) / _frontier_weight(self._entries[name].solve_rate), name) for name in names]
        return [self._entries[name].task for _, name in nlargest(count, keyed)]

    def learnable(self, newest: int) -> dict[Kind, tuple[int, int]]:
        """Of each kind's newest tasks: how many are sometimes solved and sometimes not, and how many were measured."""
        found = {}
        for kind, order in self._order.items():
            rates = [self._entries[name].solve_rate for name in order[-newest:]]
            measured = [rate for rate in rates if rate is not None]
            found[kind] = (sum(0 < rate < 1 for rate in measured), len(measured))
        return found

    def references(self, kind: Kind, draws: int, count: int, seed: int) -> list[list[Task]]:
        """`draws` independent samples of `count` tasks."""
        return [self.sample(kind, count, derive_seed(seed, draw)) for draw in range(draws)]

    def programs(self, count: int, seed: int) -> list[str]:
        """Uniform with replacement over the programs of deduction and abduction (of induction where it is alone)."""
        pool = [self._order[kind] for kind in self._order if kind is not Kind.INDUCTION] or list(self._order.values())
        total = sum(map(len, pool))
        if total == 0:
            return []
        rng = random.Random(seed)
        return [self._entries[_nth(pool, rng.randrange(total))].task.program for _ in range(count)]

    def _within(self, kind: Kind, hardest: float) -> list[str]:
        order = self._order[kind]
        return order if hardest == inf else [name for name in order if self._entries[name].task.difficulty <= hardest]

    def _draw(self, names: Sequence[str], count: int, seed: int) -> list[Task]:
        chosen = random.Random(seed).sample(range(len(names)), min(count, len(names)))
        return [self._entries[names[index]].task for index in chosen]

    def add(self, tasks: Sequence[Task], solve_rates: Sequence[float | None]) -> list[bool]:
        """Which were new; a duplicate leaves what is held as it is."""
        return [self._add(task, rate) for task, rate in zip(tasks, solve_rates, strict=True)]

    def _add(self, task: Task, solve_rate: float | None) -> bool:
        if task.fingerprint in self._entries:
            return False
        order = self._order[task.kind]
        if len(order) >= self._capacity:
            self._evict(order)
        order.append(task.fingerprint)
        self._entries[task.fingerprint] = Entry(task=task, solve_rate=solve_rate)
        self._tallies[task.kind].add(task)
        return True

    def _evict(self, order: list[str]) -> None:
        """The oldest proposed task goes; where there is none, the oldest of all."""
        oldest = next((n for n, key in enumerate(order) if self._entries[key].task.origin is Origin.PROPOSED), 0)
        task = self._entries.pop(order.pop(oldest)).task
        self._tallies[task.kind].remove(task)

    def record(self, solve_rates: Mapping[str, float]) -> None:
        """Newly measured solve rates by fingerprint; a task that was evicted meanwhile is passed over."""
        for fingerprint, rate in solve_rates.items():
            if fingerprint in self._entries:
                self._entries[fingerprint] = replace(self._entries[fingerprint], solve_rate=rate)

    def snapshot(self, path: Path) -> "BuffersSnapshot":
        """What is held now: entries never change, so that their list is enough."""
        return BuffersSnapshot(path, tuple(self._entries[name] for order in self._order.values() for name in order))

    def load(self, path: Path) -> None:
        """Replaces everything by a snapshot. Raises UserError naming the line that cannot be read."""
        self._entries.clear()
        for order in self._order.values():
            order.clear()
        self._tallies = {kind: Tally(self._traits) for kind in self._order}
        if not path.is_file():
            raise UserError(f"buffer snapshot {path} is missing; delete that checkpoint: the one before it is used")
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    entry = _entry(json.loads(line))
                    self._order[entry.task.kind].append(entry.task.fingerprint)
                except (ValueError, KeyError, TypeError) as error:
                    raise UserError(
                        f"buffer snapshot {path} line {number} cannot be read ({error}); delete that checkpoint: "
                        "the one before it is used"
                    ) from error
                self._entries[entry.task.fingerprint] = entry
                self._tallies[entry.task.kind].add(entry.task)


@dataclass(frozen=True, slots=True)
class BuffersSnapshot:
    """Implements `selfplay.protocols.Snapshot`."""

    path: Path
    entries: tuple[Entry, ...]

    def write(self) -> None:
        """One JSON line per task, in order; the file appears by a rename."""
        partial = self.path.with_suffix(".partial")
        with writing(f"buffer snapshot {self.path}", self.path.parent):
            with partial.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(entry)) + "\n" for entry in self.entries)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)


def _frontier_weight(solve_rate: float | None) -> float:
    rate = 0.5 if solve_rate is None else solve_rate
    return max(FRONTIER_FLOOR, rate * (1 - rate))


def _nth(pool: Sequence[Sequence[str]], index: int) -> str:
    for order in pool:
        if index < len(order):
            return order[index]
        index -= len(order)
    raise IndexError(index)


def _entry(data: dict[str, Any]) -> Entry:
    task = data["task"]
    task["kind"], task["origin"] = Kind(task["kind"]), Origin(task["origin"])
    task["pairs"] = tuple(Pair(**pair) for pair in task["pairs"])
    return Entry(task=Task(**task), solve_rate=data["solve_rate"])
