"""What `azr train --quiet` and `--json` show: warnings on stderr, and on stdout nothing, or one JSON line per step.

It holds its streams from the start, so that the caller may point sys.stdout elsewhere: nothing that a library prints comes
between the lines. Does not: say the last line of the run (the command does).
"""

from collections.abc import Mapping
from typing import TextIO

from telemetry.alarms import Changes
from telemetry.jsonl import as_json, step_dict
from telemetry.records import StepRecord


class PlainView:
    """Warnings and alarms go to `errors`; each step, as `steps.jsonl` has it, to `steps` where that is given."""

    def __init__(self, errors: TextIO, steps: TextIO | None = None) -> None:
        self._errors = errors
        self._steps = steps

    def open(self) -> None:
        pass

    def write(self, record: StepRecord) -> None:
        if self._steps:
            _say(self._steps, as_json(step_dict(record)).decode())

    def progress(self, phase: str, done: int, total: int) -> None:
        pass

    def alarms(self, changes: Changes) -> None:
        for alarm in changes.fired:
            _say(self._errors, f"alarm: step {alarm.step}: {alarm.line()}")

    def warn(self, message: str) -> None:
        _say(self._errors, f"warning: {message}")

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        pass


def _say(stream: TextIO, line: str) -> None:
    stream.write(f"{line}\n")
    stream.flush()
