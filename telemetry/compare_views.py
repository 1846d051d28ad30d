"""A comparison of two runs as tables for a terminal, as Markdown, and as JSON. Pure: text in, text out."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from telemetry.compare import SECONDS, SHARE, Comparison, Figure, Interval
from telemetry.markdown import markdown_table

NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def comparison_tables(made: Comparison) -> Group:
    """Renderable for a rich console."""
    return Group(*(_table(sheet) for sheet in _sheets(made)))


def comparison_markdown(made: Comparison) -> str:
    return "\n\n".join(f"### {sheet.title}\n\n{markdown_table(sheet.headings, sheet.rows)}" for sheet in _sheets(made))


def comparison_json(made: Comparison) -> str:
    """One line; `change` is B − A, accuracies are shares."""
    names = ("a", "b")
    plain: dict[str, Any] = {
        "runs": dict(zip(names, made.runs, strict=True)),
        "status": dict(zip(names, made.status, strict=True)),
        "figures": [{**asdict(figure), "change": figure.change} for figure in made.figures],
        "config": {key: dict(zip(names, values, strict=True)) for key, values in made.config.items()},
        "notes": dict(zip(names, made.notes, strict=True)),
    }
    return json.dumps(plain, allow_nan=False)


def _sheets(made: Comparison) -> list[_Sheet]:
    a, b = made.runs
    runs = _Sheet(title="runs", headings=("", "run", "status"), rows=list(zip("AB", made.runs, made.status, strict=True)))
    figures = [
        (figure.name, _value(figure, figure.a, figure.a_interval), _value(figure, figure.b, figure.b_interval), _change(figure))
        for figure in made.figures
    ]
    config = [(key, _config(ours), _config(theirs)) for key, (ours, theirs) in made.config.items()]
    notes = [(name, note) for name, written in zip("AB", made.notes, strict=True) for note in written]
    sheets = [
        runs,
        _Sheet(title="held-out accuracy, buffers, cost", headings=("", f"A: {a}", f"B: {b}", "B − A"), rows=figures),
        _Sheet(title="configuration that differs", headings=("key", "A", "B"), rows=config),
        _Sheet(title="notes", headings=("run", "note"), rows=notes),
    ]
    return [sheet for sheet in sheets if sheet.rows]


def _value(figure: Figure, value: float | None, interval: Interval | None) -> str:
    if value is None:
        return NOTHING
    if figure.unit == SHARE:
        bounds = f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else ""
        return f"{100 * value:.1f} %{bounds}"
    return f"{value:,.0f} s" if figure.unit == SECONDS else f"{value:,.0f}"


def _change(figure: Figure) -> str:
    """With its sign; accuracies in points, the rest with the share of A."""
    change, interval = figure.change, figure.change_interval
    if change is None:
        return NOTHING
    if figure.unit == SHARE:
        bounds = f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else ""
        return f"{100 * change:+.1f} points{bounds}"
    return f"{change:+,.0f}" + (f" ({100 * change / figure.a:+.0f} %)" if figure.a else "")


def _config(value: object) -> str:
    return NOTHING if value is None else str(value)


def _table(sheet: _Sheet) -> Table:
    table = Table(title=sheet.title)
    for heading in sheet.headings:
        table.add_column(Text(heading), overflow="fold")
    for row in sheet.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
