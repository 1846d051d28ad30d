"""`report.html`: what a run did, in one file that opens without a network. Works on runs in any state.

It reads the run directory, and for the leaderboard those beside it, and writes one file into it. What stands in the page
comes from here, how it looks from `telemetry.page`; the curves are `telemetry.charts`, the rollouts `telemetry.rollouts`.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from configs.errors import UserError
from telemetry.alarm_log import ALARMS
from telemetry.atomic import write_atomically
from telemetry.charts import all_figures
from telemetry.history import History, read_history
from telemetry.jsonl import read_lines
from telemetry.page import PageTable, render_page
from telemetry.rollouts import pack_rollouts
from telemetry.runs import SUITE, RunSummary, list_runs
from telemetry.status import RUNNING, RunStatus, live_status, read_status
from telemetry.summary import STAND_IN, STAND_IN_NOTE, percent, points_gained

FILE = "report.html"
MOST_RUNS = 20  # of the leaderboard


def write_report(run_dir: Path) -> Path:
    """Writes the report and returns its path. UserError when the directory is not a run's or its files are damaged."""
    if not run_dir.is_dir():
        raise UserError(f"RUN must be a run directory, got {run_dir}; `azr runs` lists them")
    try:
        status = read_status(run_dir) or RunStatus(status="not started", run=run_dir.name)
        history = read_history(run_dir)
        page = _page(run_dir.absolute(), status, history)
        write_atomically(run_dir / FILE, page)
    except (OSError, ValueError) as error:
        raise UserError(f"report of {run_dir} cannot be made: {error}") from error
    return run_dir / FILE


def _page(run_dir: Path, status: RunStatus, history: History) -> str:
    config_file = run_dir / "config.yaml"
    config = config_file.read_text(encoding="utf-8", errors="replace") if config_file.exists() else ""
    tables = (_alarms(run_dir, history), _accuracies(history), _buffers(history), _leaderboard(run_dir))
    return render_page(
        run=run_dir.name,
        status=live_status(status),
        facts=_facts(status),
        notes=_notes(status, history, config),
        tables=[table for table in tables if table.rows],
        figures=all_figures(history),
        rollouts=pack_rollouts(run_dir, history),
        config=config,
    )


def _facts(status: RunStatus) -> dict[str, str]:
    facts = {
        "phase": f"{status.phase} step {status.step}" if status.phase else "",
        "policy version": str(status.version) if status.phase else "",
        "seed": str(status.seed),
        "wall time": _minutes(status.seconds),
        "tokens": f"{status.tokens:,.0f}",
        "W&B run": status.wandb_run_id,
    }
    return {name: value for name, value in facts.items() if value}


def _notes(status: RunStatus, history: History, config: str) -> list[str]:
    notes = [status.notes] if status.notes else []
    if not history.lines:
        notes.append("This run has not finished its first step: there are no curves yet.")
    elif live_status(status) == RUNNING:
        notes.append("This run is going on: write the report again to see more.")
    if not config:
        notes.append("There is no config.yaml in this directory.")
    elif _model_of(config) == STAND_IN:
        notes.append(STAND_IN_NOTE)
    return notes


def _model_of(config: str) -> str:
    """`model.name_or_path`, which is the stand-in unless the configuration says otherwise. ValueError when it is no YAML."""
    try:
        tree = yaml.safe_load(config)
    except yaml.YAMLError as error:
        raise ValueError(f"config.yaml is no YAML: {error}") from error
    model = tree.get("model") if isinstance(tree, dict) else None
    return str(model.get("name_or_path", STAND_IN)) if isinstance(model, dict) else STAND_IN


def _alarms(run_dir: Path, history: History) -> PageTable:
    """One row for each alarm that went off, the one that went off first at the top."""
    fired: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in read_lines(run_dir / ALARMS):
        fired[str(line["name"])].append(line)
    rows = [(name, _is_on(history, name), *_alarm(lines)) for name, lines in fired.items()]
    return PageTable("Alarms", ("alarm", "now", "times", "global step", "last value", "limit", "what to do"), rows)


def _alarm(lines: list[dict[str, Any]]) -> tuple[str, ...]:
    first, last = lines[0], lines[-1]
    steps = dict.fromkeys(str(line["global_step"]) for line in (first, last))
    return (str(len(lines)), " – ".join(steps), f"{last['value']:.3g}", f"{last['threshold']:.3g}", str(last["remedy"]))


def _is_on(history: History, name: str) -> str:
    states = history.series(f"alarm/{name}")
    return "on" if states and states[-1].value else "over"


def _accuracies(history: History) -> PageTable:
    rows = [
        (suite.suite, percent(suite.initial), percent(suite.final), points_gained(suite), f"{100 * suite.best:.1f} %")
        for suite in history.suites()
    ]
    note = "Greedy, with the 95 % Wilson interval."
    return PageTable("Held-out accuracy", ("suite", "initial", "final", "points", "best"), rows, note)


def _buffers(history: History) -> PageTable:
    rows = [(kind, str(size["seed"]), str(size["final"])) for kind, size in history.buffers().items()]
    return PageTable("Tasks in the buffers", ("kind", "after seeding", "final"), rows)


def _leaderboard(run_dir: Path) -> PageTable:
    """This run among those beside it, the best final accuracy first; alone it needs no table."""
    runs = [run for run in list_runs(run_dir.parent) if run.final is not None or run.run == run_dir.name]
    ranked = sorted(runs, key=lambda run: -1.0 if run.final is None else run.final, reverse=True)
    shown = [(place, run) for place, run in enumerate(ranked, 1) if place <= MOST_RUNS or run.run == run_dir.name]
    rows = [_row(place, run) for place, run in shown] if len(shown) > 1 else []
    headings = ("run", "place", "status", "initial", "final", "best", "time", "tokens", "notes")
    note = f"Final accuracy on held-out {SUITE}, of {len(ranked)} runs in this folder; the marked row is this run."
    return PageTable("Leaderboard", headings, rows, note, marked=run_dir.name)


def _row(place: int, run: RunSummary) -> tuple[str, ...]:
    shares = ("-" if value is None else f"{100 * value:.1f} %" for value in (run.initial, run.final, run.best))
    return (run.run, str(place), run.status, *shares, _minutes(run.seconds), f"{run.tokens:,.0f}", run.notes)


def _minutes(seconds: float) -> str:
    return f"{round(seconds) // 60}:{round(seconds) % 60:02}"
