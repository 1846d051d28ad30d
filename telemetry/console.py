"""What a person sees while a run goes on: live bars with an estimate of the time left, and one line per step.

On a terminal a bar per phase stays at the foot and the lines scroll above it. Elsewhere (a log file, a Ray job) there
are plain lines only, and progress is told at each tenth. Text that a model wrote is never shown here.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from telemetry.lines import held_out_of, legend, seconds_line, step_line
from telemetry.records import Phase, StepRecord

WARM_START_LINES = 10  # lines printed over a whole warm start, whose steps are many and alike


class ConsoleSink:
    """Prints steps and progress; holds the terminal from the first progress until `close`."""

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
        self._live = self._console.is_terminal
        self._clock = clock
        self._bars: dict[str, TaskID] = {}
        self._begun: dict[str, tuple[float, int]] = {}
        self._told: dict[str, int] = {}
        self._held_out: tuple[float, float, float] | None = None
        self._legend_due = True
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
            disable=not self._live,
            refresh_per_second=4,
        )

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
        if self._live:
            self._move_bar(phase, done, total)
        else:
            self._tell(phase, done, total)

    def say(self, text: str, style: str = "") -> None:
        """One line, as it is (no markup)."""
        self._console.print(escape(text), style=style or None)

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        self._progress.stop()

    def _move_bar(self, phase: str, done: int, total: int) -> None:
        if not self._bars:
            self._progress.start()
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
