"""The last thing a run shows: what it reached, what it used, and where everything is."""

from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from configs.schema import RunConfig
from telemetry.alarm_log import ALARMS
from telemetry.history import SuiteResult, read_history
from telemetry.jsonl import read_lines
from telemetry.status import RunStatus, read_status

STAND_IN = "stand-in"
STAND_IN_NOTE = (
    "The model is a tiny stand-in made on the spot; its supervised warm start stands in for pre-training. "
    "Its numbers show that the method works here, not how a pre-trained model fares."
)


def final_summary(run_dir: Path, config: RunConfig) -> Group:
    """Renderable for a rich console. Raises OSError or ValueError when the run's files cannot be read."""
    history = read_history(run_dir)
    status = read_status(run_dir) or RunStatus(status="not started", run=run_dir.name)
    parts: list[Table | Text] = [_accuracy_table(history.suites()), _buffer_table(history.buffers()), _facts(run_dir, status)]
    if config.model.name_or_path == STAND_IN:
        parts.append(Text(STAND_IN_NOTE, style="italic"))
    return Group(*parts)


def final_line(run_dir: Path) -> str:
    """The same in one line: `finished RUN: deduction 28.0 -> 47.0 %, …; buffers …; 2 alarms; report PATH`."""
    history = read_history(run_dir)
    status = read_status(run_dir) or RunStatus(status="not started", run=run_dir.name)
    suites = [f"{one.suite} {100 * one.initial[0]:.1f} -> {100 * one.final[0]:.1f} %" for one in history.suites()]
    buffers = [f"{kind} {size['seed']} -> {size['final']}" for kind, size in history.buffers().items()]
    alarms = sum(1 for _ in read_lines(run_dir / ALARMS))
    parts = [", ".join(suites), f"buffers {', '.join(buffers)}" if buffers else "", f"{alarms} alarms" if alarms else ""]
    return f"{status.status} {run_dir}: " + "; ".join(part for part in (*parts, f"report {run_dir / 'report.html'}") if part)


def percent(measured: tuple[float, float, float]) -> str:
    """`41.5 % [34.9, 48.4]`: accuracy and 95 % Wilson interval."""
    accuracy, low, high = (100 * value for value in measured)
    return f"{accuracy:.1f} % [{low:.1f}, {high:.1f}]"


def points_gained(suite: SuiteResult) -> str:
    return f"{100 * (suite.final[0] - suite.initial[0]):+.1f}"


def _accuracy_table(suites: list[SuiteResult]) -> Table | Text:
    if not suites:
        return Text("held-out accuracy: not measured")
    table = Table(title="held-out accuracy, greedy, 95 % Wilson interval")
    for heading in ("suite", "initial", "final", "points", "best"):
        table.add_column(heading, justify="left" if heading == "suite" else "right")
    for suite in suites:
        row = (suite.suite, percent(suite.initial), percent(suite.final), points_gained(suite), f"{100 * suite.best:.1f} %")
        table.add_row(*(Text(cell) for cell in row))
    return table


def _buffer_table(buffers: dict[str, dict[str, int]]) -> Table | Text:
    if not buffers:
        return Text("buffers: not filled")
    table = Table(title="tasks in the buffers")
    for heading in ("kind", "after seeding", "final", "growth"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for kind, size in buffers.items():
        growth = f"x {size['final'] / size['seed']:.2f}" if size["seed"] else "-"
        table.add_row(Text(kind), str(size["seed"]), str(size["final"]), growth)
    return table


def _facts(run_dir: Path, status: RunStatus) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")  # paths are shown whole
    report = run_dir / "report.html"
    minutes, seconds = divmod(round(status.seconds), 60)
    facts = {
        "status": status.status,
        "wall time": f"{minutes} min {seconds:02} s",
        "tokens": f"{status.tokens:,.0f}",
        "run directory": str(run_dir),
        "report": str(report) if report.exists() else f"not written yet; azr report {run_dir}",
        "W&B": _wandb_place(status),
    }
    for name, value in facts.items():
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def _wandb_place(status: RunStatus) -> str:
    if not status.wandb_dir:
        return "nothing recorded" if not status.wandb_failures else "failed to start; nothing recorded"
    failures = f" ({status.wandb_failures} failures; the event files have everything)" if status.wandb_failures else ""
    return f"{status.wandb_dir} (run {status.wandb_run_id}){failures}"
