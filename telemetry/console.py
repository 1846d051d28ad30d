"""What a person sees while a run goes on: live bars with an estimate of the time left, and one line per step.

On a terminal the active alarms and a bar per phase stay at the foot, and the lines scroll above them; what others print or
log meanwhile scrolls there as well. Elsewhere (a log file, a Ray job) there are plain lines only, and progress is told at
each tenth. Text that a model wrote is never shown here. Does not: `--quiet` and `--json` (telemetry.plain_views).
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from telemetry.alarm_rules import Severity
from telemetry.alarms import Changes
from telemetry.lines import held_out_of, legend, seconds_line, step_line
from telemetry.records import Phase, StepRecord

WARM_START_LINES = 10  # lines printed over a whole warm start, whose steps are many and alike
SPEED_OVER_S = 600.0  # of how many seconds the time left is estimated; steps may take a minute each
STYLES = {Severity.WARN: "yellow", Severity.CRITICAL: "bold red"}


class View(Protocol):
    """What the hub shows a run on. `open` comes first and `close` last."""

    def open(self) -> None: ...

    def write(self, record: StepRecord) -> None: ...

    def progress(self, phase: str, done: int, total: int) -> None: ...

    def alarms(self, changes: Changes) -> None: ...

    def warn(self, message: str) -> None: ...

    def close(self, status: str, summary: Mapping[str, float]) -> None: ...


class ConsoleSink:
    """Prints steps, progress and alarms; holds the terminal from `open` until `close`."""

    def __init__(
        self,
        kinds: Sequence[str],
        *,
        warmup_steps: int,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kinds = kinds
        self._every = max(1, warmup_steps // WARM_START_LINES)
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._clock = clock
        self._bars: dict[str, TaskID] = {}
        self._begun: dict[str, tuple[float, int]] = {}
        self._told: dict[str, int] = {}
        self._held_out: tuple[float, float, float] | None = None
        self._legend_due = True
        self._active: dict[str, str] = {}  # alarm to style
        self._rebound: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
            speed_estimate_period=SPEED_OVER_S,
        )
        self._live = Live(console=self._console, get_renderable=self._foot, refresh_per_second=4)

    def open(self) -> None:
        if not self._console.is_terminal:
            return
        held = sys.stdout, sys.stderr
        self._live.start()  # puts its own in the place of sys.stdout and sys.stderr
        for handler in _stream_handlers():
            stream = handler.stream
            if stream in held:
                self._rebound.append((handler, stream))
                handler.setStream((sys.stdout, sys.stderr)[held.index(stream)])

    def write(self, record: StepRecord) -> None:
        measured = held_out_of(record.scalars)
        self._held_out = measured or self._held_out
        if record.phase is Phase.WARM_START and record.step % self._every and measured is None:
            return
        if record.phase is Phase.SELF_PLAY and self._legend_due:
            self._legend_due = False
            self.say(legend(self._kinds), style="dim")
        self.say(step_line(record, self._kinds, self._held_out), style="bold" if measured else "")
        seconds = seconds_line(record.scalars)
        if seconds:
            self.say(f"     {seconds}", style="dim")

    def progress(self, phase: str, done: int, total: int) -> None:
        """Moves the bar of a phase; a new phase gets a new bar."""
        if self._console.is_terminal:
            self._move_bar(phase, done, total)
        else:
            self._tell(phase, done, total)

    def say(self, text: str, style: str = "") -> None:
        """One line, as it is (no markup)."""
        self._console.print(escape(text), style=style or None)

    def warn(self, message: str) -> None:
        self.say(f"warning: {message}", style="yellow")

    def alarms(self, changes: Changes) -> None:
        for alarm in changes.fired:
            self._active[alarm.name] = STYLES[Severity(alarm.severity)]
            self.say(f"alarm: {alarm.line()}", style=self._active[alarm.name])
        for name in changes.cleared:
            self._active.pop(name, None)
            self.say(f"alarm over: {name}", style="green")

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        self._live.stop()
        while self._rebound:
            handler, stream = self._rebound.pop()
            handler.setStream(stream)

    def _foot(self) -> RenderableType:
        names = Text(" · ").join(Text(name, style=style) for name, style in self._active.items())
        return Group(*([Text("alarms ") + names] if self._active else []), self._progress)

    def _move_bar(self, phase: str, done: int, total: int) -> None:
        if phase not in self._bars:
            self._bars[phase] = self._progress.add_task(phase.replace("_", " "), total=total)
        self._progress.update(self._bars[phase], completed=done, total=total)

    def _tell(self, phase: str, done: int, total: int) -> None:
        begun, first = self._begun.setdefault(phase, (self._clock(), done))
        tenth = 10 * done // total if total else 10
        if tenth <= self._told.get(phase, -1):
            return
        self._told[phase] = tenth
        left = (self._clock() - begun) / (done - first) * (total - done) if done > first else None
        eta = "" if left is None or done >= total else f", about {_duration(left)} left"
        self.say(f"{phase.replace('_', ' ')}: {done}/{total}{eta}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _stream_handlers() -> Iterator[logging.StreamHandler[TextIO]]:
    """Every log handler that writes to a stream which it was given when it was made, such as Ray's."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        for handler in logger.handlers if isinstance(logger, logging.Logger) else ():
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                yield handler
