"""The `azr` command: names, arguments and exit codes. What the commands do lies in the modules that they call.

Exit codes: 0 done, 1 it failed, 2 it was asked for something that cannot be, 130 interrupted. An error is one line on
stderr; stack traces are shown with --debug only. Imports are made by the command that needs them: `azr --help` is quick.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from cluster import chaos_command, runs_commands, scale_command
from cluster.arguments import DEFAULT_CONFIG, Config, Json, Overrides, config_and_overrides
from cluster.console import Show, complain, say
from cluster.crash import crash_log, user_message
from configs.errors import ConfigError, UserError
from configs.validation import one_line

INTERRUPTED = 130

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

app.add_typer(runs_commands.app, name="runs")
app.command()(chaos_command.chaos)
app.command()(scale_command.scale)


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
    quiet: Annotated[bool, typer.Option("--quiet", help="Only warnings, and one line at the end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON per step, and one for the run at the end.")] = False,
) -> None:
    """Runs or resumes a run: warm start, self-play, report."""
    from configs.loader import load_config

    if quiet and as_json:
        raise ConfigError("--quiet must not come with --json, which says nothing else on stdout anyway; leave one out")
    loaded = load_config(*config_and_overrides(config, overrides))  # before the imports below, which take seconds
    from cluster.play import play

    play(loaded, local=local, debug=bool(context.obj), show=Show.QUIET if quiet else Show.JSON if as_json else Show.LINES)


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


@app.command()
def sweep(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="YAML file, or the name of a shipped experiment.")],
    seeds: Annotated[str, typer.Option(help="Only these, joined by commas; empty: those of the file.")] = "",
    arms: Annotated[str, typer.Option(help="Only these arms, joined by commas; empty: all.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    root: Annotated[Path, typer.Option(help="Folder of the experiment's folder.")] = Path("runs"),
    table_only: Annotated[bool, typer.Option("--table-only", help="Starts nothing; writes the table anew.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Each run in one process, without Ray.")] = False,
    address: Annotated[str, typer.Option(help="Runs are jobs of the Ray cluster with this dashboard.")] = "",
    as_json: Json = False,
) -> None:
    """Runs or resumes the arms of an experiment at equal tokens, and writes one table."""
    from cluster.sweep import How
    from cluster.sweep import sweep as run_sweep

    how = How(root=root, seeds=seeds, arms=arms, num_jobs=jobs, local=local, address=address)
    raise typer.Exit(run_sweep(experiment, how, table_only=table_only, as_json=as_json))


@app.command("warm-start")
def warm_start(
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    address: Annotated[str, typer.Option(help="As a job of the Ray cluster with this dashboard; empty: here.")] = "",
) -> None:
    """Makes the warm-started model of a run and nothing else; runs that start together then share it."""
    from configs.loader import load_config

    name, given = config_and_overrides(config, overrides)
    loaded = load_config(name, given)
    if address:
        from cluster.submit import submit_run

        raise typer.Exit(submit_run(name, given, address=address, wait=True, program=("cluster.cli", "warm-start")))
    from cluster.warm import make_model

    make_model(loaded)


@app.command("eval")
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Run directory, checkpoint, model folder or Hugging Face name.")] = "",
    suite: Annotated[
        list[str] | None, typer.Option(help="Held-out suite or data set, or NAME=FILE (or hf: name); may be repeated.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="JSONL of prompt and answer, or hf:OWNER/NAME[:split]; may be repeated.")
    ] = None,
    data_root: Annotated[Path, typer.Option(help="Folder of the named data sets.")] = Path("../shared/data"),
    limit: Annotated[int, typer.Option(min=0, help="First items only; 0: all.")] = 0,
    max_tokens: Annotated[int, typer.Option(min=0, help="Longest answer; 0: the suite's own.")] = 0,
    engine: Annotated[str, typer.Option(help="transformers or vllm.")] = "transformers",
    prompt_format: Annotated[str, typer.Option(help="auto, chat or plain; empty: the run's own.")] = "",
    verbatim: Annotated[bool, typer.Option("--verbatim", help="Ask data as it is, not in the family's public form.")] = False,
    references: Annotated[
        bool, typer.Option("--references", help="Judge the data's own answers instead; needs no checkpoint.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for a JSONL of the items of each suite.")] = None,
    as_json: Json = False,
) -> None:
    """Greedy accuracy of a checkpoint with its Wilson interval."""
    from cluster.eval_suites import Wanted
    from cluster.evaluate import evaluate_checkpoint, verify_references

    wanted = Wanted(
        suites=tuple(suite or ()),
        data=tuple(data or ()),
        data_root=data_root,
        limit=limit,
        max_tokens=max_tokens,
        verbatim=verbatim,
    )
    if references:
        verify_references(checkpoint, wanted, out=out, as_json=as_json)
    else:
        evaluate_checkpoint(checkpoint, wanted, engine=engine, prompt_format=prompt_format, out=out, as_json=as_json)


@app.command()
def verify(
    cases: Annotated[Path, typer.Argument(metavar="CASES.jsonl", help="Lines of id, program, input and, where known, output.")],
    check: Annotated[bool, typer.Option("--check", help="Only a summary; exit 1 where a recorded output is not met.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Fork servers per hash seed.")] = 1,
    timeout_s: Annotated[float, typer.Option(min=0.01, max=3600, help="Wall-clock limit of a run.")] = 5.0,
    memory_mb: Annotated[int, typer.Option(min=64, max=2**20, help="Address space of a run in MiB.")] = 512,
) -> None:
    """Runs programs in the sandbox: what each gives, and whether that is what was recorded."""
    from cluster.verify import verify_file
    from configs.system_sections import VerifiersSection

    limits = VerifiersSection(workers=workers, timeout_s=timeout_s, memory_mb=memory_mb)
    raise typer.Exit(verify_file(cases, limits, check=check))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Run directory.")]) -> None:
    """Writes the run's HTML report anew."""
    from telemetry.report import write_report

    if not (run / "config.yaml").is_file():
        raise UserError(f"{run} is not a run directory (no config.yaml); `azr runs` lists them")
    say(f"report: {write_report(run)}")


@app.command()
def audit(
    run: Annotated[Path, typer.Argument(help="Run directory, of a run in any state.")],
    contamination: Annotated[
        bool, typer.Option("--contamination", help="Whether the run met a held-out problem, instead of its balance.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recomputes the exactly-once balance from disk; exit 1 where anything is lost or duplicated."""
    from cluster.audit import audit_run

    raise typer.Exit(audit_run(run, contamination=contamination, as_json=as_json))


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="Run directory of an asynchronous run (pipeline.staleness above 0).")],
    checkpoint: Annotated[str, typer.Option(help="Where to begin, as in step-000050; empty: with the initial weights.")] = "",
    as_json: Json = False,
) -> None:
    """Makes a run's updates again from its event log; exit 1 at the first one that gives other weights."""
    from cluster.replay import replay_run

    raise typer.Exit(replay_run(run, checkpoint, as_json=as_json))


@app.command()
def plan(
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    run: Annotated[Path | None, typer.Option(help="Run directory whose recorded latencies the forecast takes.")] = None,
    gpus: Annotated[int, typer.Option(min=0, help="Split so many between generators and learner ranks; 0: as configured.")] = 0,
    generators: Annotated[str, typer.Option(help="Numbers of generators to compare, joined by commas.")] = "",
    assume: Annotated[list[str] | None, typer.Option(help="A latency, as in update_s=2.5; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Actors, bundles, memory, sizes and expected speed of a run; starts nothing."""
    from cluster.plan import Wanted, show_plan
    from configs.loader import load_config

    loaded = load_config(*config_and_overrides(config, overrides))
    wanted = Wanted(run=run, gpus=gpus, generators=generators, assume=tuple(assume or ()))
    show_plan(loaded, wanted, as_json=as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Checks this machine, and says how to mend what is missing."""
    from cluster.doctor import examine, show

    findings = examine()
    show(findings, as_json=as_json)
    raise typer.Exit(int(any(finding.level == "fail" for finding in findings)))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="generator, learner, ledger, memory, overlap, publish, scaling, telemetry, verifier.")
    ],
) -> None:
    """Runs a benchmark in a process of its own; further arguments are the benchmark's (--json)."""
    from cluster.bench import run_benchmark

    raise typer.Exit(run_benchmark(name, context.args))


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
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the actors; before anything loads OpenMP
    sys.exit(run(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    main()
