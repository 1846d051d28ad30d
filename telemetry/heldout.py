"""Held-out answers of a run, item by item: what the first and the last evaluation of each suite got right.

Read from `evals.jsonl` of a run in any state. Does not: say how sure a figure is (telemetry.paired).
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telemetry.jsonl import folder, read_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteMarks:
    """1 for right and 0 for wrong, by item; `first` and `last` are the same when the suite was measured once.

    `items` names them by their prompts, so that an item has the same name in every run.
    """

    items: tuple[str, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    num_evaluations: int

    @property
    def changes(self) -> tuple[int, ...]:
        """last − first, in -1, 0, 1."""
        return tuple(after - before for before, after in zip(self.first, self.last, strict=True))

    def only(self, items: Sequence[str]) -> "SuiteMarks":
        """These of its items, in this order."""
        place = {name: number for number, name in enumerate(self.items)}
        chosen = [place[name] for name in items]
        first, last = tuple(self.first[number] for number in chosen), tuple(self.last[number] for number in chosen)
        return SuiteMarks(items=tuple(items), first=first, last=last, num_evaluations=self.num_evaluations)


@dataclass(slots=True)
class _Collected:
    """A suite's first evaluation and the newest one so far."""

    prompts: dict[int, str] = field(default_factory=dict)
    first: dict[int, bool] = field(default_factory=dict)
    last: dict[int, bool] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        if not self.steps or row["global_step"] != self.steps[-1]:
            self.steps.append(row["global_step"])
            self.last = {}
        if len(self.steps) == 1:
            self.first[row["item"]] = row["right"]
            self.prompts[row["item"]] = row["prompt"]
        self.last[row["item"]] = row["right"]


def read_marks(run_dir: Path) -> dict[str, SuiteMarks]:
    """By suite, in order of first appearance; none when nothing was evaluated. OSError or ValueError as the file is."""
    suites: dict[str, _Collected] = {}
    for row in read_lines(folder(run_dir) / "evals.jsonl"):
        suites.setdefault(row["suite"], _Collected()).add(row)
    return {suite: _marks(collected) for suite, collected in suites.items()}


def _marks(collected: _Collected) -> SuiteMarks:
    order = sorted(collected.first)
    if sorted(collected.last) != order:
        raise ValueError(f"evals.jsonl has {len(order)} items of a suite at first and {len(collected.last)} at last")
    return SuiteMarks(
        items=_names([collected.prompts[item] for item in order]),
        first=tuple(int(collected.first[item]) for item in order),
        last=tuple(int(collected.last[item]) for item in order),
        num_evaluations=len(collected.steps),
    )


def _names(prompts: Sequence[str]) -> tuple[str, ...]:
    """A prompt that comes again is another item: it is numbered."""
    seen: Counter[str] = Counter()
    names = []
    for prompt in prompts:
        digest = hashlib.blake2b(prompt.encode(errors="surrogatepass"), digest_size=8).hexdigest()
        names.append(f"{digest}-{seen[digest]}")
        seen[digest] += 1
    return tuple(names)
