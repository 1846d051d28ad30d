"""A run from its configuration to its report: what `azr train` does.

    config → run directory → telemetry → warm start → parts (on Ray, or in this process) → SelfPlay.run() → report
                                                 (AsyncSelfPlay where pipeline.staleness is above 0)

Each context closes what it opened, in reverse order, whatever ends the run; the same command then goes on from the
newest checkpoint. The loop itself, its checkpoints and what happens in a step belong to `selfplay`.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from pathlib import Path

from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from cluster.actor_trace import ActorTrace
from cluster.bundles import DRIVER_CPUS, total
from cluster.console import Show, say
from cluster.crash import crash_log
from cluster.devices import check_devices, check_engine
from cluster.eval_suites import PYTHON
from cluster.faults import READY, FaultLog
from cluster.model_source import check_model
from cluster.processes import raise_on_stop_signals, undisturbed
from cluster.run_directory import RunDirectory, open_run
from cluster.scale import OrderFile
from configs.errors import ConfigError
from configs.schema import RunConfig
from selfplay.items import Item
from selfplay.loop import Parts, SelfPlay
from selfplay.pipeline.protocols import StreamingParts
from selfplay.pipeline.run import AsyncSelfPlay
from selfplay.suites import FORMS, Judge, read_answers, read_suite
from selfplay.warm_start import model_path, prepare_model
from tasks.family import Family, load_family
from tasks.rows import is_hub
from telemetry.console import View
from telemetry.history import SuiteResult, read_history
from telemetry.hub import TelemetryHub
from telemetry.plain_views import PlainView
from telemetry.records import Phase, StepRecord
from telemetry.report import write_report
from telemetry.runs import run_json
from telemetry.summary import final_line, final_summary
from verifier.verifier import FamilyVerifier

Files = Mapping[str, Sequence[Item]]  # further suites of the first and last evaluation, by name


def play(config: RunConfig, *, local: bool = False, debug: bool = False, show: Show = Show.LINES) -> Path:
    """Runs or resumes the run; returns its directory. UserError when it cannot start, Crash when it broke down."""
    if show is Show.LINES:
        return _play(config, None, local=local, debug=debug)
    view = PlainView(sys.stderr, sys.stdout if show is Show.JSON else None)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(sys.stderr if show is Show.JSON else nowhere):
        run_dir = _play(config, view, local=local, debug=debug)  # whose words, and those of libraries, are kept from stdout
    say(run_json(run_dir) if show is Show.JSON else final_line(run_dir))
    return run_dir


def _play(config: RunConfig, view: View | None, *, local: bool, debug: bool) -> Path:
    family = load_family(config.family.name, config.family.options)
    _check(config, local)
    files = _files(config, family)
    raise_on_stop_signals()
    disable_progress_bar()  # transformers' own, a line for each file that it writes
    with open_run(config, sys.argv) as run:
        if run.finished:
            say(
                f"{run.path} is finished ({run.steps_done} steps); to go further: run.steps={2 * max(1, run.steps_done)}"
                " (the learning rate decays over run.steps: it rises again)"
            )
        else:
            say(f"{'resuming' if run.resumed else 'new run'} {run.path}, from step {run.steps_done} of {_length(config)}")
            with crash_log(run.path), _telemetry(run, view) as hub:
                _play_on_parts(run, family, hub, files, local=local, debug=debug)
        report = write_report(run.path)
        Console().print(final_summary(run.path, config))
        say(f"report: {report}")
    return run.path


def _files(config: RunConfig, family: Family) -> Files:
    """A file that is not there is said and left out: the shipped configurations name data that not everybody has."""
    files = {}
    for name, source in config.evaluation.data.items():
        if is_hub(source) or Path(source).expanduser().exists():
            files[name] = _further_items(name, source, config, family)
        else:
            say(f"evaluation.data.{name} is left out: {source} is not there")
    return files


def _further_items(name: str, source: str, config: RunConfig, family: Family) -> Sequence[Item]:
    """A data set by its name, where the run's own verifier can judge it; else a file of prompt and answer."""
    if name not in FORMS:
        return read_answers(source, family).items
    section, judge = config.family, FORMS[name].judge
    if judge is Judge.EXECUTOR:
        raise ConfigError(
            f"evaluation.data.{name} must not be programs with tests; remove it, and run `azr eval RUN --suite {name}`"
        )
    if judge is Judge.VERIFIER and section.name != PYTHON:
        raise ConfigError(
            f"evaluation.data.{name} must come with family.name=python, got {section.name}; remove it, and run "
            f"`azr eval RUN --suite {name}`"
        )
    with closing(FamilyVerifier(section.name, section.options, config.verifiers)) as verifier:
        suite = read_suite(name, source, verifier, chat=False)
    for reason, ids in suite.left_out.items():
        say(f"evaluation.data.{name}: {len(ids)} rows are left out ({reason})")
    return suite.items


def _length(config: RunConfig) -> str:
    budget = config.run.token_budget
    return f"{config.run.steps}" + (f", or until {budget:,} tokens are generated" if budget else "")


def _check(config: RunConfig, local: bool) -> None:
    """What would otherwise fail minutes later, in an actor. GPUs of a cluster are counted when it is joined."""
    check_engine(config)
    if local:
        check_devices(config, shared=True)
    else:
        _check_cluster(config)
    check_model(config.model)


def _check_cluster(config: RunConfig) -> None:
    from cluster.launch import address_to_join, check_port  # ray is imported here, so that --local runs without it

    if address_to_join(config.cluster.address) is None:
        check_devices(config, shared=False)
        if config.cluster.dashboard_port:
            check_port(config.cluster.dashboard_port, "cluster.dashboard_port")


def _play_on_parts(run: RunDirectory, family: Family, hub: TelemetryHub, files: Files, *, local: bool, debug: bool) -> None:
    begun = _warm_start(run, family, hub)
    model = model_path(run.config, family)
    place = _in_this_process(run, model, hub) if local else _on_ray(run, model, hub, debug)
    with place as parts:
        if isinstance(parts, StreamingParts):
            AsyncSelfPlay(run.config, family, parts, run.path, global_step=begun, files=files).run()
        else:
            SelfPlay(run.config, family, parts, run.path, global_step=begun, files=files).run()


def _warm_start(run: RunDirectory, family: Family, hub: TelemetryHub) -> int:
    """Makes or finds the stand-in; its steps begin the run's clock, and a resumed run has them behind it already.

    Returns the last of its global steps; 0 for a model that needs none.
    """
    section = run.config.family
    done, last = run.global_step or 0, 0
    with closing(FamilyVerifier(section.name, section.options, run.config.verifiers)) as verifier:
        for step in prepare_model(run.config, family, verifier):
            if step.step > done:
                scalars = {"warm_start/loss": step.loss, "warm_start/lr": step.lr}
                hub.emit(StepRecord(global_step=step.step, phase=Phase.WARM_START, step=step.step, version=0, scalars=scalars))
            last = step.step
    return last


@contextmanager
def _telemetry(run: RunDirectory, view: View | None) -> Iterator[TelemetryHub]:
    """The hub; closed with how the run ended and with the figures of its whole history."""
    hub = TelemetryHub(run.path, run.config, resume_global_step=run.global_step, wandb_run_id=run.wandb_run_id, view=view)
    status = "failed"
    try:
        yield hub
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        hub.close(status, _closing_figures(run.path) if status == "finished" else {})


def _closing_figures(run_dir: Path) -> dict[str, float]:
    """Accuracies and buffer sizes over the whole history, resumes included."""
    history = read_history(run_dir)
    figures = {
        f"buffer/{kind}/{when}": float(size) for kind, sizes in history.buffers().items() for when, size in sizes.items()
    }
    for suite in history.suites():
        figures |= {f"accuracy/{suite.suite}/{when}": value for when, value in _accuracies(suite)}
    return figures


def _accuracies(suite: SuiteResult) -> tuple[tuple[str, float], ...]:
    return ("initial", suite.initial[0]), ("final", suite.final[0]), ("best", suite.best)


@contextmanager
def _in_this_process(run: RunDirectory, model: str, hub: TelemetryHub) -> Iterator[Parts | StreamingParts]:
    from actors.local import local_parts, local_streaming_parts  # engines and learner are imported where they run

    make = local_streaming_parts if run.config.pipeline.staleness else local_parts
    parts = make(run.config, model, hub)
    try:
        yield parts
    finally:
        _close(parts)


@contextmanager
def _on_ray(run: RunDirectory, model: str, hub: TelemetryHub, debug: bool) -> Iterator[Parts | StreamingParts]:
    from actors.remote import remote_parts, remote_streaming_parts
    from cluster.launch import ray_cluster
    from cluster.placement import placed
    from cluster.ray_metrics import RayMetrics
    from cluster.submit import run_metadata

    section, told = run.config.cluster, FaultLog(run.path, hub.warn)
    orders = OrderFile(run.path, hub.warn)
    first, most = orders.sizes(run.config) if run.config.pipeline.staleness else (run.config, run.config)
    cpus = total(most)["CPU"] + DRIVER_CPUS
    with ray_cluster(section, num_cpus=cpus, debug=debug, metadata=run_metadata(run.config)) as cluster:
        say(f"Ray dashboard: {cluster.dashboard_url or 'none'}")
        with placed(first, can_grow=not cluster.started_here) as placement:
            parts: Parts | StreamingParts
            if run.config.pipeline.staleness:
                parts = remote_streaming_parts(run.config, model, hub, placement, told, orders)
            else:
                parts = remote_parts(run.config, model, hub, placement, told)
            try:
                say(READY)
                actors = ActorTrace(hub.trace, (parts.generator, parts.verifier, parts.learner))
                with hub.attached(RayMetrics(run.config.run.name)), hub.attached(actors):
                    yield parts
            finally:
                _close(parts)


def _close(parts: Parts | StreamingParts) -> None:
    """Ends the actors or engines behind the parts; plain in-process parts may have nothing to close."""
    with undisturbed(), ExitStack() as endings:  # each is closed, also when another one fails to
        for part in (parts.generator, parts.learner, parts.verifier, parts.buffers):
            close = getattr(part, "close", None)
            if close is not None:
                endings.callback(close)
