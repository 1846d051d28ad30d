"""`report.html`: what a run did, in one file that opens without a network. Works on runs in any state.

It reads the run directory and writes one file into it. Text from models is escaped (see `telemetry.page`).
"""

from collections import deque
from pathlib import Path

import yaml
from plotly.offline import get_plotlyjs

from configs.errors import UserError
from telemetry.atomic import write_atomically
from telemetry.charts import all_figures
from telemetry.history import History, read_history
from telemetry.jsonl import folder, read_lines
from telemetry.page import PageTable, render_page
from telemetry.status import RUNNING, RunStatus, live_status, read_status
from telemetry.summary import STAND_IN, STAND_IN_NOTE, percent, points_gained

FILE = "report.html"
NUM_SAMPLES = 12  # rows shown of the newest proposals and attempts
SAMPLE_CHARACTERS = 2000
SAMPLES = {
    "proposals": ("step", "kind", "text", "status", "reason", "solve_rate", "reward"),
    "attempts": ("step", "kind", "prompt", "text", "status", "reason", "reward"),
}


def write_report(run_dir: Path) -> Path:
    """Writes the report and returns its path. UserError when the directory is not a run's or its files are damaged."""
    if not run_dir.is_dir():
        raise UserError(f"RUN must be a run directory, got {run_dir}; `azr runs` lists them")
    try:
        status = read_status(run_dir) or RunStatus(status="not started", run=run_dir.name)
        history = read_history(run_dir)
        page = _page(run_dir, status, history)
        write_atomically(run_dir / FILE, page)
    except (OSError, ValueError) as error:
        raise UserError(f"report of {run_dir} cannot be made: {error}") from error
    return run_dir / FILE


def _page(run_dir: Path, status: RunStatus, history: History) -> str:
    config_file = run_dir / "config.yaml"
    config = config_file.read_text(encoding="utf-8", errors="replace") if config_file.exists() else ""
    figures = all_figures(history)
    return render_page(
        run=run_dir.name,
        status=live_status(status),
        facts=_facts(status),
        notes=_notes(status, history, config),
        tables=[table for table in (_accuracies(history), _buffers(history)) if table.rows],
        charts=[figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False}) for figure in figures],
        plotly=f"<script>{get_plotlyjs()}</script>" if figures else "",
        samples=[table for name in SAMPLES if (table := _samples(run_dir, name)).rows],
        config=config,
    )


def _facts(status: RunStatus) -> dict[str, str]:
    minutes, seconds = divmod(round(status.seconds), 60)
    facts = {
        "phase": f"{status.phase} step {status.step}" if status.phase else "",
        "policy version": str(status.version) if status.phase else "",
        "seed": str(status.seed),
        "wall time": f"{minutes}:{seconds:02}",
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


def _accuracies(history: History) -> PageTable:
    rows = [
        (suite.suite, percent(suite.initial), percent(suite.final), points_gained(suite), f"{100 * suite.best:.1f} %")
        for suite in history.suites()
    ]
    return PageTable("Held-out accuracy, 95 % Wilson interval", ("suite", "initial", "final", "points", "best"), rows)


def _buffers(history: History) -> PageTable:
    rows = [(kind, str(size["seed"]), str(size["final"])) for kind, size in history.buffers().items()]
    return PageTable("Tasks in the buffers", ("kind", "after seeding", "final"), rows)


def _samples(run_dir: Path, name: str) -> PageTable:
    newest = deque(read_lines(folder(run_dir) / f"{name}.jsonl"), maxlen=NUM_SAMPLES)
    columns = SAMPLES[name]
    rows = [[_text(line.get(column)) for column in columns] for line in newest]
    return PageTable(f"The newest {name}", columns, rows)


def _text(value: object) -> str:
    """A cell of a sample: control characters made visible, bounded in length."""
    if value is None:
        return ""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    shown = "".join(character if character.isprintable() or character == "\n" else repr(character)[1:-1] for character in text)
    return shown if len(shown) <= SAMPLE_CHARACTERS else f"{shown[:SAMPLE_CHARACTERS]} … ({len(shown)} characters)"
