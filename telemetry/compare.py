"""Two runs side by side: accuracies with intervals, buffers, cost, configuration, notes. Reads run directories; draws nothing.

Invariant: a change is always B − A. Accuracies are shares; where both runs answered the same held-out items last, the change
comes with a paired interval over the items (telemetry.paired), which knows nothing of the variance between seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from configs.errors import UserError
from configs.flat import flatten
from telemetry.heldout import SuiteMarks, read_marks
from telemetry.history import History, read_history
from telemetry.notes import read_notes
from telemetry.paired import bootstrap_mean
from telemetry.records import Phase
from telemetry.status import RunStatus, live_status, read_status

Interval = tuple[float, float]
SHARE, COUNT, SECONDS = "share", "count", "seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of both runs; None where a run has none."""

    name: str
    unit: str
    a: float | None
    b: float | None
    a_interval: Interval | None = None
    b_interval: Interval | None = None
    change_interval: Interval | None = None

    @property
    def change(self) -> float | None:
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    runs: tuple[str, str]
    status: tuple[str, str]
    figures: tuple[Figure, ...]
    config: Mapping[str, tuple[Any, Any]]  # keys that differ
    notes: tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    status: RunStatus
    history: History
    marks: Mapping[str, SuiteMarks]
    config: Mapping[str, Any]
    notes: tuple[str, ...]


def compare(a: Path, b: Path) -> Comparison:
    """UserError when one is not a run directory or its files are damaged."""
    first, second = _read(a), _read(b)
    return Comparison(
        runs=(a.name, b.name),
        status=(live_status(first.status), live_status(second.status)),
        figures=(*_accuracies(first, second), *_buffers(first, second), *_cost(first, second)),
        config=_differences(first.config, second.config),
        notes=(first.notes, second.notes),
    )


def _read(run_dir: Path) -> _Run:
    file = run_dir / "config.yaml"
    if not file.is_file():
        raise UserError(f"{run_dir} is not a run directory (no config.yaml); `azr runs` lists them")
    try:
        status = read_status(run_dir) or RunStatus(status="not started", run=run_dir.name)
        config: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        return _Run(
            status=status,
            history=read_history(run_dir),
            marks=read_marks(run_dir),
            config=flatten(config) if isinstance(config, dict) else {},
            notes=tuple(note for note in (status.notes, *read_notes(run_dir)) if note),
        )
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{run_dir} cannot be compared: {' '.join(str(error).split())}") from error


def _accuracies(a: _Run, b: _Run) -> list[Figure]:
    first, second = ({suite.suite: suite for suite in run.history.suites()} for run in (a, b))
    figures = []
    for suite in dict.fromkeys([*first, *second]):
        ours, theirs = first.get(suite), second.get(suite)
        figures += [
            _accuracy(f"{suite} first", ours.initial if ours else None, theirs.initial if theirs else None),
            _accuracy(f"{suite} last", ours.final if ours else None, theirs.final if theirs else None, _paired(suite, a, b)),
            Figure(name=f"{suite} best", unit=SHARE, a=ours.best if ours else None, b=theirs.best if theirs else None),
        ]
    return figures


def _accuracy(
    name: str,
    a: tuple[float, float, float] | None,
    b: tuple[float, float, float] | None,
    change: Interval | None = None,
) -> Figure:
    return Figure(
        name=name,
        unit=SHARE,
        a=a[0] if a else None,
        b=b[0] if b else None,
        a_interval=(a[1], a[2]) if a else None,
        b_interval=(b[1], b[2]) if b else None,
        change_interval=change,
    )


def _paired(suite: str, a: _Run, b: _Run) -> Interval | None:
    """95 % of the change over the items, where they are the same ones; none where no answer changed, or all did alike."""
    ours, theirs = a.marks.get(suite), b.marks.get(suite)
    if ours is None or theirs is None or not ours.items or set(ours.items) != set(theirs.items):
        return None
    changes = [after - before for before, after in zip(ours.last, theirs.only(ours.items).last, strict=True)]
    if len(set(changes)) == 1:  # the bootstrap sees no spread
        return None
    estimate = bootstrap_mean([changes], over_runs=False)
    return estimate.low, estimate.high


def _buffers(a: _Run, b: _Run) -> list[Figure]:
    first, second = a.history.buffers(), b.history.buffers()
    kinds = dict.fromkeys([*first, *second])
    return [
        Figure(name=f"buffer {kind}", unit=COUNT, a=first.get(kind, {}).get("final"), b=second.get(kind, {}).get("final"))
        for kind in kinds
    ]


def _cost(a: _Run, b: _Run) -> list[Figure]:
    return [
        Figure(name="steps", unit=COUNT, a=_steps(a), b=_steps(b)),
        Figure(name="tokens", unit=COUNT, a=a.status.tokens, b=b.status.tokens),
        Figure(name="wall time", unit=SECONDS, a=a.status.seconds, b=b.status.seconds),
    ]


def _steps(run: _Run) -> float:
    return max((line["step"] for line in run.history.lines if line["phase"] == Phase.SELF_PLAY), default=0)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: (a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)}
