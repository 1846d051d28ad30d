"""The `azr` command: names, arguments and exit codes. What the commands do lies in the modules that they call.

Exit codes: 0 done, 1 it failed, 2 it was asked for something that cannot be, 130 interrupted. An error is one line on
stderr; stack traces are shown with --debug only. Imports are made by the command that needs them: `azr --help` is quick.
"""

import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from cluster.console import complain, say, say_json
from cluster.crash import crash_log, user_message
from configs.errors import UserError
from configs.validation import one_line

DEFAULT_CONFIG = "tiny-cpu"
INTERRUPTED = 130

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="YAML file, or the name of a shipped one.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Overrides, as in learner.lr=1e-4.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON, the last of stdout.")]


def _version(wanted: bool) -> None:
    if wanted:
        say(f"absolute-zero-ray {metadata.version('absolute-zero-ray')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Stack traces and worker logs; accepted anywhere in the line.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Absolute Zero self-play for language models on Ray."""


@app.command()
def train(
    context: typer.Context,
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    local: Annotated[bool, typer.Option("--local", help="Everything in this process, without Ray.")] = False,
) -> None:
    """Runs or resumes a run: warm start, self-play, report."""
    from configs.loader import load_config

    loaded = load_config(*_config_and_overrides(config, overrides))  # before the imports below, which take seconds
    from cluster.play import play

    play(loaded, local=local, debug=bool(context.obj))


@app.command()
def submit(
    config: Config,
    overrides: Overrides = None,
    address: Annotated[
        str, typer.Option(help="Dashboard of the cluster; empty: RAY_API_SERVER_ADDRESS, else this machine's.")
    ] = "",
    wait: Annotated[bool, typer.Option(help="Follow the job's log until it ends.")] = True,
) -> None:
    """The same as train, as a Ray job on a running cluster."""
    from cluster.submit import submit_run

    raise typer.Exit(submit_run(config, overrides or [], address=address, wait=wait))


@app.command("eval")
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Run directory, checkpoint, model folder or Hugging Face name.")],
    suite: Annotated[list[str] | None, typer.Option(help="Held-out suite; may be repeated.")] = None,
    data: Annotated[list[Path] | None, typer.Option(help="JSONL of prompt and answer; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="First items only; 0: all.")] = 0,
    engine: Annotated[str, typer.Option(help="transformers or vllm.")] = "transformers",
    verbatim: Annotated[bool, typer.Option("--verbatim", help="Ask --data as it is, not in the family's public form.")] = False,
    as_json: Json = False,
) -> None:
    """Greedy accuracy of a checkpoint with its Wilson interval."""
    from cluster.evaluate import evaluate_checkpoint

    evaluate_checkpoint(
        checkpoint, suites=suite or [], data=data or [], limit=limit, engine=engine, verbatim=verbatim, as_json=as_json
    )


@app.command()
def runs(
    root: Annotated[Path, typer.Option(help="Folder of run directories.")] = Path("runs"),
    curve: Annotated[bool, typer.Option("--curve", help="With the learning curve.")] = False,
    as_json: Json = False,
) -> None:
    """The leaderboard: every run, newest first."""
    from rich.console import Console

    from telemetry.runs import list_runs, runs_json, runs_table

    found = list_runs(root, curve=curve)
    if as_json:
        say(runs_json(found))
    else:
        Console().print(runs_table(found))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Run directory.")]) -> None:
    """Writes the run's HTML report anew."""
    from telemetry.report import write_report

    if not (run / "config.yaml").is_file():
        raise UserError(f"{run} is not a run directory (no config.yaml); `azr runs` lists them")
    say(f"report: {write_report(run)}")


@app.command()
def plan(config: Config = DEFAULT_CONFIG, overrides: Overrides = None, as_json: Json = False) -> None:
    """Actors, bundles, memory and sizes of a run; starts nothing."""
    from cluster.plan import make_plan, plan_lines
    from configs.loader import load_config

    loaded = load_config(*_config_and_overrides(config, overrides))
    made = make_plan(loaded)
    for line in plan_lines(made, loaded):
        say(line)
    if as_json:
        say_json(made)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Checks this machine, and says how to mend what is missing."""
    from cluster.doctor import examine, show

    findings = examine()
    show(findings, as_json=as_json)
    raise typer.Exit(int(any(finding.level == "fail" for finding in findings)))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context, name: Annotated[str, typer.Argument(help="generator or learner.")]) -> None:
    """Runs a benchmark in a process of its own; further arguments are the benchmark's (--json)."""
    from cluster.bench import run_benchmark

    raise typer.Exit(run_benchmark(name, context.args))


def _config_and_overrides(config: str, overrides: Sequence[str] | None) -> tuple[str, list[str]]:
    """`azr train key=value` has no CONFIG: the default one is meant."""
    given = list(overrides or [])
    return (DEFAULT_CONFIG, [config, *given]) if "=" in config and not Path(config).exists() else (config, given)


def run(argv: Sequence[str]) -> int:
    """Runs one command line and returns its exit code. Everything that goes wrong is told in one line."""
    debug = "--debug" in argv
    arguments = [word for word in argv if word != "--debug"]
    try:
        with crash_log(None, also=(TyperException, Abort)):
            code = int(app(args=arguments, prog_name="azr", standalone_mode=False, obj=debug) or 0)
    except UserError as failure:
        return _failed(f"error: {user_message(failure)}", failure.exit_code, debug)
    except TyperException as failure:
        return _failed(f"error: {one_line(failure.format_message()).rstrip('.')}; `azr --help` lists what there is", 2, debug)
    except Abort:
        code = INTERRUPTED
    if code == INTERRUPTED:  # what typer makes of a KeyboardInterrupt
        complain("interrupted; the same command goes on from the newest checkpoint")
    return code


def _failed(line: str, code: int, debug: bool) -> int:
    if debug:
        complain(traceback.format_exc())
    complain(line)
    return code


def main(argv: Sequence[str] | None = None) -> None:
    sys.exit(run(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    main()
