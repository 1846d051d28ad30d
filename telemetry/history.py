"""A run's steps as series: what the leaderboard, the report and the final summary are made from.

Read from `steps.jsonl` of a run in any state; a value that was not measured, or not finite, is absent from its series.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telemetry.jsonl import STEPS, folder, read_lines
from telemetry.records import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value of one scalar."""

    global_step: int
    step: int
    version: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """Held-out accuracy of one suite with its Wilson interval, at first and at last (the same when measured once)."""

    suite: str
    initial: tuple[float, float, float]  # accuracy, low, high
    final: tuple[float, float, float]
    best: float


@dataclass(frozen=True, slots=True)
class History:
    """The steps of a run, in order."""

    lines: Sequence[dict[str, Any]]

    def series(self, name: str) -> list[Point]:
        return [
            Point(global_step=line["global_step"], step=line["step"], version=line["version"], value=line["scalars"][name])
            for line in self.lines
            if line["scalars"].get(name) is not None
        ]

    def names(self, prefix: str) -> list[str]:
        """Every scalar that starts with `prefix`, in order of first appearance."""
        return list(dict.fromkeys(name for line in self.lines for name in line["scalars"] if name.startswith(prefix)))

    def span(self, phase: Phase) -> tuple[int, int] | None:
        """First and last global step of a phase."""
        steps = [line["global_step"] for line in self.lines if line["phase"] == phase]
        return (steps[0], steps[-1]) if steps else None

    def suites(self) -> list[SuiteResult]:
        names = [name for name in self.names("eval/") if name.endswith("/accuracy") and self.series(name)]
        return [self._suite(name.removeprefix("eval/").removesuffix("/accuracy")) for name in names]

    def buffers(self) -> dict[str, dict[str, int]]:
        """Tasks per kind after seeding (the first size seen, when nothing was seeded) and at last."""
        sizes: dict[str, dict[str, int]] = {}
        span = self.span(Phase.SEEDING)
        for name in self.names("buffer/"):
            points = self.series(name)
            if not points:
                continue
            seeded = [point for point in points if span and point.global_step <= span[1]] or points[:1]
            sizes[name.removeprefix("buffer/")] = {"seed": int(seeded[-1].value), "final": int(points[-1].value)}
        return sizes

    def _suite(self, suite: str) -> SuiteResult:
        accuracies = self.series(f"eval/{suite}/accuracy")
        first, last = (self._interval(suite, point) for point in (accuracies[0], accuracies[-1]))
        return SuiteResult(suite=suite, initial=first, final=last, best=max(point.value for point in accuracies))

    def _interval(self, suite: str, measured: Point) -> tuple[float, float, float]:
        low, high = (
            next(
                (point.value for point in self.series(f"eval/{suite}/{end}") if point.global_step == measured.global_step), None
            )
            for end in ("low", "high")
        )
        return measured.value, measured.value if low is None else low, measured.value if high is None else high


def read_history(run_dir: Path) -> History:
    """An empty history when the run has not got to its first step. Raises OSError, or ValueError naming a damaged line."""
    lines = list(read_lines(folder(run_dir) / f"{STEPS}.jsonl"))
    for line in lines:
        if not isinstance(line.get("scalars"), dict) or not {"phase", "step", "version"} <= line.keys():
            raise ValueError(f"step {line['global_step']} of {STEPS}.jsonl must have phase, step, version and scalars")
    return History(lines)
