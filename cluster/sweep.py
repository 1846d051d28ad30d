"""`azr sweep`: runs what is not finished of an experiment, and writes its table.

    file → runs, all checked → models, each made once → runs, `num_jobs` at once → table

    ROOT/NAME/experiment.yaml  table.md  table.json  experiment.html  ARM-sSEED.log  ARM-sSEED/ (run directories)

Each run is a process of its own (`azr train`; with an address `azr submit`), so that one that fails stops no other. Runs
resume exactly: the same command after any end, kill -9 included, goes on and comes to the same table.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.arm_runs import ArmRun, plan_runs, refuse_other_settings
from cluster.console import say, say_json
from cluster.crew import Ended, Job, last_line, run_jobs
from cluster.experiment import Experiment, find_experiment, load_experiment, nearest
from cluster.processes import raise_on_stop_signals
from cluster.sweep_table import write_table
from configs.errors import ConfigError, UserError
from telemetry.atomic import write_atomically
from telemetry.runs import EXPERIMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """`seeds`, `arms`: joined by commas, empty for all of the file's. `address`: a cluster's dashboard; empty: run here."""

    root: Path
    seeds: str = ""
    arms: str = ""
    num_jobs: int = 1
    local: bool = False
    address: str = ""


def sweep(name: str, how: How, *, table_only: bool = False, as_json: bool = False) -> int:
    """1 when a run that was asked for is not finished in the end. UserError when nothing can be started."""
    if how.local and how.address:
        raise ConfigError("--local must not come with --address: it runs without Ray; leave one of them out")
    file = find_experiment(name)
    experiment = load_experiment(file)
    seeds, arms = _seeds(how.seeds, experiment), _arms(how.arms, experiment)
    folder = how.root.expanduser().absolute() / file.stem
    runs = plan_runs(file, experiment, folder, tuple(dict.fromkeys((*experiment.seeds, *seeds))))
    for run in runs:
        refuse_other_settings(run)
    unfinished = 0
    if not table_only:
        raise_on_stop_signals()
        _prepare(folder, file)
        unfinished = _run_all([run for run in runs if run.config.seed in seeds and run.arm in arms], folder, how)
    table = write_table(file, experiment, folder, runs)
    say(table.markdown)
    say(f"table: {table.file}; page: {table.page}")
    if as_json:
        say_json(table.values)
    return int(unfinished > 0)


def _run_all(runs: Sequence[ArmRun], folder: Path, how: How) -> int:
    """Tells of each run as it begins and ends. How many are not finished in the end."""
    pending = [run for run in runs if not run.done]
    say(f"{folder}: {len(runs)} runs, {len(runs) - len(pending)} of them finished")
    without = _make_models(pending, folder, how)
    for run in pending:
        if run.model in without:
            say(f"{run.name} is not started: its model could not be made")
    jobs = {run.name: (run, _train_job(run, folder, how)) for run in pending if run.model not in without}
    unfinished = len(pending) - len(jobs)
    for ended in run_jobs([job for _, job in jobs.values()], how.num_jobs, _tell_begin):
        run, _ = jobs[ended.job.name]
        if ended.code == 0 and run.done:
            say(f"{run.name} is finished, {ended.seconds:.0f} s")
            continue
        unfinished += 1
        reason = last_line(ended.job.log) if ended.code else f"{run.path} is not finished; can this machine see the run's disk?"
        _tell_failure(ended, reason)
    return unfinished


def _make_models(runs: Sequence[ArmRun], folder: Path, how: How) -> set[str]:
    """Each model that the runs start from, once, before any of them: they would all make it. Those that failed."""
    starts = {run.start.path: run.start for run in reversed(runs) if run.start}
    jobs = []
    for path, start in starts.items():
        if how.address or not Path(path).exists():
            name = Path(path).name
            command = _command("warm-start", start.base, start.overrides, how.address)
            jobs.append(Job(name=name, command=command, log=folder / f"{name}.log"))
    failed = [ended for ended in run_jobs(jobs, how.num_jobs, _tell_begin) if ended.code]
    for ended in failed:
        _tell_failure(ended, last_line(ended.job.log))
    names = {ended.job.name for ended in failed}
    return {path for path in starts if Path(path).name in names}


def _train_job(run: ArmRun, folder: Path, how: How) -> Job:
    what = "submit" if how.address else "train"
    command = _command(what, run.base, run.overrides, how.address)
    return Job(name=run.name, command=(*command, "--local") if how.local else command, log=folder / f"{run.name}.log")


def _command(what: str, base: str, overrides: Sequence[str], address: str) -> tuple[str, ...]:
    where = ("--address", address) if address else ()
    return (sys.executable, "-m", "cluster.cli", what, base, *overrides, *where)


def _tell_begin(job: Job) -> None:
    say(f"{job.name} begins; log: {job.log}")


def _tell_failure(ended: Ended, reason: str) -> None:
    say(f"{ended.job.name} failed with exit code {ended.code}: {reason}; log: {ended.job.log}")


def _prepare(folder: Path, file: Path) -> None:
    """The folder with a copy of the file, by which the leaderboard knows it for an experiment's."""
    try:
        write_atomically(folder / EXPERIMENT, file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--root: cannot write {folder} ({error.strerror}); make it writable or choose another") from error


def _seeds(given: str, experiment: Experiment) -> tuple[int, ...]:
    words = [word.strip() for word in given.split(",")] if given.strip() else []
    if not all(word.isdecimal() for word in words):
        raise ConfigError(f"--seeds must be whole numbers joined by commas, as in 0,1,2, got {given}")
    return tuple(dict.fromkeys(map(int, words))) or experiment.seeds


def _arms(given: str, experiment: Experiment) -> tuple[str, ...]:
    words = [word.strip() for word in given.split(",")] if given.strip() else []
    for word in words:
        if word not in experiment.arms:
            raise ConfigError(f"--arms must be arms of the experiment, got {word}; {nearest(word, experiment.arms)}")
    return tuple(words) or tuple(experiment.arms)
