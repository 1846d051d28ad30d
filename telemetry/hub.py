"""The one writer of telemetry: takes a record per global step and drives the sinks.

Invariants: `global_step` strictly grows, over phases and resumes; the event files are written before any other sink
sees the record, so that a crash never leaves a step in W&B that the files do not have. `status.json` is current after
each record. It computes no metric, and only W&B may fail without ending the run.

    hub.emit(record) ──▶ JSONL ──▶ status.json ──▶ W&B ──▶ console        (one thread, in this order)
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from configs.errors import UserError
from configs.schema import RunConfig
from telemetry.console import ConsoleSink
from telemetry.jsonl import BEFORE_ALL, JsonlSink
from telemetry.records import Phase, StepRecord
from telemetry.status import RUNNING, RunStatus, config_name, process_start, read_status, write_status
from telemetry.wandb_sink import WandbSink

log = logging.getLogger(__name__)


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
        screen: Console | None = None,
    ) -> None:
        self._run_dir = run_dir
        self._config = config
        self._begun = time.monotonic()
        self._last_step = BEFORE_ALL if resume_global_step is None else resume_global_step
        self._record: StepRecord | None = None
        self._closed = False
        with _mendable(run_dir):
            earlier = read_status(run_dir)
            self._jsonl = JsonlSink(run_dir, self._last_step)
        self._started_at = (earlier.started_at if earlier else 0.0) or time.time()
        self._earlier_s = earlier.seconds if earlier else 0.0
        self._tokens = earlier.tokens if earlier and resume_global_step is not None else 0.0
        self._pid_started = process_start(os.getpid())
        kinds = config.family.kinds
        self._console = ConsoleSink(kinds, warmup_steps=config.model.stand_in.warmup_steps, console=screen) if console else None
        # It makes up for what W&B lost in a crash from the event files, which must be rewound by now.
        self._wandb = WandbSink(run_dir, config, run_id=wandb_run_id, warn=self._warn)
        with _mendable(run_dir):
            write_status(run_dir, self._status(RUNNING))

    def emit(self, record: StepRecord) -> None:
        """Takes one record. ValueError when its global step is not beyond the last one; UserError on a full disk."""
        if self._closed:
            raise ValueError(f"emit must come before close, got global_step {record.global_step}")
        if record.global_step <= self._last_step:
            raise ValueError(f"global_step must be above {self._last_step}, the last one, got {record.global_step}")
        self._last_step, self._record = record.global_step, record
        self._tokens = record.scalars.get("tokens/total", self._tokens)
        with _mendable(self._run_dir):
            self._jsonl.write(record)
            write_status(self._run_dir, self._status(RUNNING))
        self._wandb.write(record)
        if self._console:
            self._console.write(record)
            total = self._phase_total(record.phase)
            if total:
                self._console.progress(record.phase, record.step, total)

    def progress(self, phase: str, done: int, total: int) -> None:
        """For the console only: how far a stage is that takes long enough to be watched."""
        if self._console:
            self._console.progress(phase, done, total)

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        """Last word on the run: `finished`, `failed` or `interrupted`, and its final figures. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._console:
                self._console.close(status, summary)
            self._wandb.close(status, summary)
        finally:
            with _mendable(self._run_dir):
                write_status(self._run_dir, self._status(status))
                self._jsonl.close()

    def _phase_total(self, phase: Phase) -> int:
        return {Phase.WARM_START: self._config.model.stand_in.warmup_steps, Phase.SELF_PLAY: self._config.run.steps}.get(
            phase, 0
        )

    def _warn(self, message: str) -> None:
        if self._console:
            self._console.say(f"warning: {message}", style="yellow")
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
