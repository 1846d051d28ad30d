"""The one writer of telemetry: takes a record per global step and drives the sinks.

Invariants: `global_step` strictly grows, over phases and resumes; the event files are written before any other sink
sees the record, so that a crash never leaves a step in W&B that the files do not have. `status.json` is at most STATUS_S
older than the newest record. It computes no metric, and only W&B may fail without ending the run.

    hub.emit(record) ──▶ alarms ──▶ JSONL ──▶ status.json ──▶ trace ──▶ W&B's queue ──▶ sinks that came later ──▶ console
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from configs.errors import UserError
from configs.schema import RunConfig
from telemetry.alarm_log import AlarmLog
from telemetry.alarms import Changes
from telemetry.console import ConsoleSink, View
from telemetry.jsonl import BEFORE_ALL, JsonlSink
from telemetry.records import Phase, StepRecord
from telemetry.status import RUNNING, RunStatus, config_name, process_start, read_status, write_status
from telemetry.trace import TraceSink
from telemetry.wandb_sink import WandbSink
from telemetry.wandb_writer import WandbWriter

log = logging.getLogger(__name__)
STATUS_S = 1.0  # a file that is replaced is flushed to the disk: too slow for every step of a small run


class Sink(Protocol):
    """Takes every record, in order."""

    def write(self, record: StepRecord) -> None: ...


class TelemetryHub:
    """Implements `selfplay.protocols.Telemetry`. `resume_global_step` is the checkpoint's; None starts from nothing."""

    def __init__(
        self,
        run_dir: Path,
        config: RunConfig,
        *,
        resume_global_step: int | None,
        wandb_run_id: str,
        console: bool = True,
        view: View | None = None,
    ) -> None:
        self._run_dir = run_dir
        self._config = config
        self._begun = time.monotonic()
        self._last_step = BEFORE_ALL if resume_global_step is None else resume_global_step
        self._record: StepRecord | None = None
        self._closed = False
        self._status_due = 0.0
        with _mendable(run_dir):
            earlier = read_status(run_dir)
            self._jsonl = JsonlSink(run_dir, self._last_step)
            self._alarms = AlarmLog(run_dir, config, self._last_step)
            self.trace = TraceSink(run_dir)
        self._started_at = (earlier.started_at if earlier else 0.0) or time.time()
        self._earlier_s = earlier.seconds if earlier else 0.0
        self._tokens = earlier.tokens if earlier and resume_global_step is not None else 0.0
        self._pid_started = process_start(os.getpid())
        if view is None and console:
            view = ConsoleSink(config.family.kinds, warmup_steps=config.model.stand_in.warmup_steps)
        self._view = view
        # It makes up for what W&B lost in a crash from the event files, which must be rewound by now.
        self._wandb = WandbSink(run_dir, config, run_id=wandb_run_id, warn=self.warn)
        self._writer = WandbWriter(self._wandb, self.warn) if config.telemetry.wandb != "disabled" else None
        self._sinks: list[Sink] = [self._writer] if self._writer else []
        with _mendable(run_dir):
            write_status(run_dir, self._status(RUNNING))
        if self._view:
            self._view.open()

    def emit(self, record: StepRecord) -> None:
        """Takes one record. ValueError when its global step is not beyond the last one; UserError on a full disk."""
        if self._closed:
            raise ValueError(f"emit must come before close, got global_step {record.global_step}")
        if record.global_step <= self._last_step:
            raise ValueError(f"global_step must be above {self._last_step}, the last one, got {record.global_step}")
        self._last_step, self._record = record.global_step, record
        self._tokens = record.scalars.get("tokens/total", self._tokens)
        with _mendable(self._run_dir):
            changes = self._alarms.take(record)
            record = replace(record, scalars={**record.scalars, **changes.scalars})
            self._jsonl.write(record)
            if time.monotonic() >= self._status_due:
                write_status(self._run_dir, self._status(RUNNING))
                self._status_due = time.monotonic() + STATUS_S
            self.trace.write(record)
        for sink in self._sinks:
            sink.write(record)
        self._show(record, changes)

    @contextmanager
    def attached(self, sink: Sink) -> Iterator[None]:
        """`sink` gets the records too, for as long as the context lasts."""
        self._sinks.append(sink)
        try:
            yield
        finally:
            self._sinks.remove(sink)

    def progress(self, phase: str, done: int, total: int) -> None:
        """For the console only: how far a stage is that takes long enough to be watched."""
        if self._view:
            self._view.progress(phase, done, total)

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        """Last word on the run: `finished`, `failed` or `interrupted`, and its final figures. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._view:
                self._view.close(status, summary)
            if self._writer:
                self._writer.close(status, summary)
        finally:
            with _mendable(self._run_dir):
                self.trace.close()
                write_status(self._run_dir, self._status(status))
                self._jsonl.close()

    def _phase_total(self, phase: Phase) -> int:
        return {Phase.WARM_START: self._config.model.stand_in.warmup_steps, Phase.SELF_PLAY: self._config.run.steps}.get(
            phase, 0
        )

    def _show(self, record: StepRecord, changes: Changes) -> None:
        if self._view is None:
            for alarm in changes.fired:
                log.warning("%s", alarm.line())
            return
        self._view.write(record)
        self._view.alarms(changes)
        total = self._phase_total(record.phase)
        if total:
            self._view.progress(record.phase, record.step, total)

    def warn(self, message: str) -> None:
        """A line that a person should see, whatever shows the run."""
        if self._view:
            self._view.warn(message)
        else:
            log.warning("%s", message)

    def _status(self, status: str) -> RunStatus:
        config, record = self._config, self._record
        return RunStatus(
            status=status,
            run=self._run_dir.name,
            config=config_name(self._run_dir.name, config.seed),
            seed=config.seed,
            notes=config.run.notes,
            phase=record.phase if record else "",
            step=record.step if record else 0,
            version=record.version if record else 0,
            global_step=self._last_step,
            seconds=self._earlier_s + time.monotonic() - self._begun,
            tokens=self._tokens,
            wandb_run_id=self._wandb.run_id,
            wandb_dir=self._wandb.directory,
            wandb_failures=self._wandb.failures,
            pid=os.getpid(),
            pid_started=self._pid_started,
            started_at=self._started_at,
            updated_at=time.time(),
        )


@contextmanager
def _mendable(run_dir: Path) -> Iterator[None]:
    """What goes wrong with the run directory's files is for the user to mend."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"telemetry of {run_dir} cannot be written: {error}; free disk space or mend permissions, then run it again"
        ) from error
    except ValueError as error:
        raise UserError(f"telemetry of {run_dir} cannot be read: {error}") from error
