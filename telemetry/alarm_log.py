"""`alarms.jsonl` of a run: one JSON object for each alarm that went off, and the memory of the alarms over a resume.

Invariants: the file has no line beyond the checkpoint from which the run goes on; an alarm that is active there does not
go off a second time. Its state is made anew from `steps.jsonl`, so that no checkpoint holds it. Made after the event files
were rewound; written before the step is, so that a step listed there has its alarms.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from configs.schema import RunConfig
from telemetry.alarms import Alarm, AlarmMonitor, Changes
from telemetry.jsonl import STEPS, folder, read_lines, rewind
from telemetry.records import Phase, StepRecord

ALARMS = "alarms.jsonl"
COLUMNS = tuple(field.name for field in fields(Alarm))


class AlarmLog:
    """The alarms of the run in `run_dir`, whose last step is `last_step`. OSError, or ValueError naming a damaged line."""

    def __init__(self, run_dir: Path, config: RunConfig, last_step: int) -> None:
        self._path = run_dir / ALARMS
        self._monitor = AlarmMonitor(
            config.telemetry.alarms,
            config.family.kinds,
            capacity=config.buffers.capacity,
            selfplay=config.mode == "selfplay",
            staleness=config.pipeline.staleness,
        )
        rewind(self._path, last_step)
        for record in _played(run_dir):
            self._monitor.take(record)

    def take(self, record: StepRecord) -> Changes:
        changes = self._monitor.take(record)
        if changes.fired:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(_line(alarm) for alarm in changes.fired)
        return changes


def _line(alarm: Alarm) -> str:
    values = {name: getattr(alarm, name) for name in COLUMNS}
    return json.dumps(values, allow_nan=False) + "\n"


def _played(run_dir: Path) -> Iterator[StepRecord]:
    """The steps so far, without their rows; what was not finite is nan."""
    for line in read_lines(folder(run_dir) / f"{STEPS}.jsonl"):
        if line["phase"] == Phase.SELF_PLAY:
            scalars = {name: math.nan if value is None else value for name, value in line["scalars"].items()}
            yield StepRecord(
                global_step=line["global_step"],
                phase=Phase.SELF_PLAY,
                step=line["step"],
                version=line["version"],
                scalars=scalars,
            )
