"""The leaderboard: what every run directory under a root came to. Reads only; a directory it cannot read is listed with
the reason, never left out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table
from rich.text import Text

from configs.errors import UserError
from telemetry.history import History, read_history
from telemetry.markdown import markdown_table
from telemetry.notes import read_notes
from telemetry.records import Phase
from telemetry.status import RunStatus, config_name, live_status, read_status

EXPERIMENT = "experiment.yaml"  # a folder that has it holds the runs of an experiment, and is none itself
HEADINGS = ("run", "status", "seed", "initial", "final", "best", "time", "tokens", "buffers", "notes")
SUITE = "deduction"  # the suite whose accuracy ranks a run: the 200 held-out problems of the journals' form


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One self-play step: `accuracy` where it was evaluated; `reward` is the solver's mean over kinds."""

    step: int
    version: int
    accuracy: float | None
    reward: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    run: str
    config: str
    seed: int | None
    status: str
    initial: float | None = None
    final: float | None = None
    best: float | None = None
    seconds: float = 0.0
    tokens: float = 0.0
    buffers: dict[str, dict[str, int]] = field(default_factory=dict)
    curve: tuple[CurvePoint, ...] | None = None  # None: not asked for
    notes: str = ""
    started_at: float = 0.0


def list_runs(root: Path, curve: bool = False) -> list[RunSummary]:
    """All run directories, newest first. UserError when the root is not a folder."""
    if not root.is_dir():
        raise UserError(f"run.root must be an existing folder, got {root}; start a run first or give --root")
    folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    runs = [_read_run(path, curve) for path in folders]
    return sorted(runs, key=lambda run: (-run.started_at, run.run))


def runs_json(runs: Sequence[RunSummary]) -> str:
    """The stable machine-readable form, on one line."""
    return json.dumps([_plain(run) for run in runs], allow_nan=False)


def run_json(run_dir: Path) -> str:
    """The same object for one run."""
    return json.dumps(_plain(_read_run(run_dir, curve=False)), allow_nan=False)


def runs_table(runs: Sequence[RunSummary]) -> Table:
    """The leaderboard for a person; the best final accuracy is marked."""
    table = Table(title="runs, newest first", caption="accuracy on held-out deduction; + admitted by proposals since seeding")
    numeric = ("initial", "final", "best", "time", "tokens")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold", justify="right" if heading in numeric else "left")
    top = max((run.final for run in runs if run.final is not None), default=None)
    for run in runs:
        style = "bold green" if run.final is not None and run.final == top else ""
        table.add_row(*(Text(cell) for cell in _cells(run)), style=style)
    return table


def runs_markdown(runs: Sequence[RunSummary]) -> str:
    return markdown_table(HEADINGS, [_cells(run) for run in runs])


def _read_run(run_dir: Path, curve: bool) -> RunSummary:
    started_at = run_dir.stat().st_mtime
    if (run_dir / EXPERIMENT).exists():
        return RunSummary(run=run_dir.name, config=run_dir.name, seed=None, status="a root of its own", started_at=started_at)
    try:
        status = read_status(run_dir) or _unstarted(run_dir)
        history = read_history(run_dir)
        notes = [status.notes, *read_notes(run_dir)]
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        return RunSummary(
            run=run_dir.name, config=run_dir.name, seed=None, status=f"unreadable: {reason}", started_at=started_at
        )
    accuracies = [point.value for point in history.series(f"eval/{SUITE}/accuracy")]
    return RunSummary(
        run=run_dir.name,
        config=status.config,
        seed=status.seed,
        status=live_status(status),
        initial=accuracies[0] if accuracies else None,
        final=accuracies[-1] if accuracies else None,
        best=max(accuracies, default=None),
        seconds=status.seconds,
        tokens=status.tokens,
        buffers=history.buffers(),
        curve=_curve(history) if curve else None,
        notes="\n".join(note for note in notes if note),
        started_at=status.started_at or started_at,
    )


def _unstarted(run_dir: Path) -> RunStatus:
    """A directory whose run has its configuration but has not told its status yet."""
    path = run_dir / "config.yaml"
    if not path.exists():
        raise ValueError("neither status.json nor config.yaml; not a run directory")
    config: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    seed = config.get("seed", 0) if isinstance(config, dict) else None
    if not isinstance(seed, int):
        raise ValueError("config.yaml must be a mapping with an integer seed")
    return RunStatus(status="not started", run=run_dir.name, config=config_name(run_dir.name, seed), seed=seed)


def _curve(history: History) -> tuple[CurvePoint, ...]:
    """Self-play steps and the evaluation before the first of them (step 0)."""
    points = []
    for line in history.lines:
        scalars, playing = line["scalars"], line["phase"] == Phase.SELF_PLAY
        accuracy = scalars.get(f"eval/{SUITE}/accuracy")
        if not playing and accuracy is None:
            continue
        rewards = [
            value
            for name, value in scalars.items()
            if name.startswith("reward/") and name.endswith("/solve") and value is not None
        ]
        reward = sum(rewards) / len(rewards) if rewards else None
        points.append(
            CurvePoint(step=line["step"] if playing else 0, version=line["version"], accuracy=accuracy, reward=reward)
        )
    return tuple(points)


def _plain(run: RunSummary) -> dict[str, Any]:
    names = ("run", "config", "seed", "status", "initial", "final", "best", "seconds", "tokens", "buffers")
    plain: dict[str, Any] = {name: getattr(run, name) for name in names}
    if run.curve is not None:
        plain["curve"] = [
            {"step": point.step, "version": point.version, "accuracy": point.accuracy, "reward": point.reward}
            for point in run.curve
        ]
    return plain


def _cells(run: RunSummary) -> tuple[str, ...]:
    percents = ("-" if value is None else f"{100 * value:.1f} %" for value in (run.initial, run.final, run.best))
    buffers = " ".join(f"{size['seed']}+{size['final'] - size['seed']}" for size in run.buffers.values())
    seed = "-" if run.seed is None else str(run.seed)
    minutes, seconds = divmod(round(run.seconds), 60)
    return (run.run, run.status, seed, *percents, f"{minutes}:{seconds:02}", f"{run.tokens:,.0f}", buffers, run.notes)
