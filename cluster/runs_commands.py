"""`azr runs`, `azr runs compare A B`, `azr runs note RUN TEXT`: names and arguments; the work is telemetry's."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.console import say
from configs.errors import ConfigError

Root = Annotated[Path, typer.Option(help="Folder of run directories.")]
OwnRoot = Annotated[Path | None, typer.Option("--root", help="Folder of run directories.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON, the last of stdout.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="As Markdown.")]

app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def runs(
    context: typer.Context,
    root: Root = Path("runs"),
    curve: Annotated[bool, typer.Option("--curve", help="With the learning curve (--json).")] = False,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """The leaderboard: every run, newest first."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console

    from telemetry.runs import list_runs, runs_json, runs_markdown, runs_table

    _one_form(as_json, markdown)
    found = list_runs(root, curve=curve)
    if as_json or markdown:
        say(runs_json(found) if as_json else runs_markdown(found))
    else:
        Console().print(runs_table(found))


@app.command()
def compare(
    context: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help="Run directory, or its name under --root.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The run whose changes against A are told.")],
    root: OwnRoot = None,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Two runs side by side: accuracies, cost, configuration, notes."""
    from rich.console import Console

    from telemetry.compare import compare as compare_runs
    from telemetry.compare_views import comparison_json, comparison_markdown, comparison_tables

    _one_form(as_json, markdown)
    made = compare_runs(_run_dir(a, root, context), _run_dir(b, root, context))
    if as_json or markdown:
        say(comparison_json(made) if as_json else comparison_markdown(made))
    else:
        Console().print(comparison_tables(made))


@app.command()
def note(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run directory, or its name under --root.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A line; `[ ] idea` opens an idea, `[x] idea` ticks it off.")],
    root: OwnRoot = None,
) -> None:
    """Writes a note beside a run; the leaderboard and comparisons show it."""
    from telemetry.notes import add_note

    for line in add_note(_run_dir(run, root, context), text):
        say(line)


def _run_dir(run: str, root: Path | None, context: typer.Context) -> Path:
    """`azr runs --root DIR compare A B` and `azr runs compare A B --root DIR` are the same."""
    if (Path(run) / "config.yaml").is_file():
        return Path(run)
    above = context.parent.params["root"] if context.parent else "runs"
    return Path(root or above) / run


def _one_form(as_json: bool, markdown: bool) -> None:
    if as_json and markdown:
        raise ConfigError("--json must not come with --markdown; leave one out")
