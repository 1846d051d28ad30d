import io
import logging
import re
import sys

import pytest
from rich.console import Console

from telemetry.alarms import Alarm, Changes
from telemetry.console import ConsoleSink
from telemetry.records import Phase, StepRecord


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_without_a_terminal_is_told_at_each_tenth_with_the_time_left() -> None:
    text, clock = io.StringIO(), Clock()
    sink = ConsoleSink(("deduction",), warmup_steps=10, console=Console(file=text, width=200), clock=clock)
    for done in range(201):
        sink.progress("self_play", done, 200)
        clock.now += 2.0
    sink.close("finished", {})
    lines = text.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[5] == "self play: 100/200, about 3m20s left"
    assert lines[-1] == "self play: 200/200"


def test_progress_on_a_terminal_draws_a_bar_and_lets_lines_pass() -> None:
    text = io.StringIO()
    sink = ConsoleSink(
        ("deduction",), warmup_steps=10, console=Console(file=text, width=100, force_terminal=True, highlight=False)
    )
    sink.open()
    sink.progress("seeding", 1, 4)
    sink.say("a line with [brackets]")
    sink.close("finished", {})
    assert "seeding" in text.getvalue()
    assert "1/4" in text.getvalue()
    assert "a line with [brackets]" in text.getvalue()


def test_progress_of_nothing_does_not_divide_by_zero() -> None:
    text = io.StringIO()
    sink = ConsoleSink(("deduction",), warmup_steps=0, console=Console(file=text, width=100))
    sink.progress("seeding", 0, 0)
    assert text.getvalue() == "seeding: 0/0\n"


ALARM = Alarm(
    global_step=7, step=7, name="stagnant_buffer/induction", severity="critical", value=0.0, threshold=0.005, readings=10,
    remedy="raise proposer.temperature",
)  # fmt: skip
SAID = "alarm: stagnant_buffer/induction is 0 (limit 0.005, over 10): raise proposer.temperature"


def on_a_terminal(text: io.StringIO) -> ConsoleSink:
    console = Console(file=text, width=100, force_terminal=True, color_system="standard", highlight=False, soft_wrap=True)
    return ConsoleSink(("deduction",), warmup_steps=10, console=console)


def plain(text: str) -> str:
    """Without what moves the cursor or colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize("over", [False, True])
def test_an_alarm_is_one_line_in_colour_and_stays_at_the_foot_until_it_is_over(over: bool) -> None:
    text = io.StringIO()
    sink = on_a_terminal(text)
    sink.open()
    try:
        sink.progress("self_play", 7, 20)
        sink.alarms(Changes(fired=(ALARM,), scalars={}))
        sink.alarms(Changes(cleared=(ALARM.name,) if over else (), scalars={}))
        sink.say("the last step")
    finally:
        sink.close("finished", {})
    said, _, foot = text.getvalue().partition("the last step")
    assert f"\x1b[1;31m{SAID}\x1b[0m" in said
    assert ("alarm over: stagnant_buffer/induction" in said) == over
    assert ("alarms stagnant_buffer/induction" in plain(foot)) != over
    assert "7/20" in foot


def test_an_alarm_without_a_terminal_is_a_plain_line() -> None:
    text = io.StringIO()
    sink = ConsoleSink(("deduction",), warmup_steps=10, console=Console(file=text, width=60, soft_wrap=True, highlight=False))
    sink.open()
    sink.alarms(Changes(fired=(ALARM,), scalars={}))
    sink.alarms(Changes(cleared=(ALARM.name,), scalars={}))
    sink.close("finished", {})
    assert text.getvalue() == f"{SAID}\nalarm over: stagnant_buffer/induction\n"


def test_what_others_print_and_log_scrolls_above_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    text, logger = io.StringIO(), logging.getLogger("like-rays")
    handler = logging.StreamHandler(sys.stderr)  # made before the view and holding the stream, as Ray's is
    logger.addHandler(handler)
    held = sys.stdout, sys.stderr
    sink = on_a_terminal(text)
    sink.open()
    try:
        sink.progress("self_play", 7, 20)
        logger.error("a raylet is gone")
        print("a library's word")  # noqa: T201
    finally:
        sink.close("finished", {})
        logger.removeHandler(handler)
    assert capsys.readouterr() == ("", "")
    for words in ("a raylet is gone", "a library's word"):
        _, said, after = plain(text.getvalue()).partition(words)
        assert said
        assert "7/20" in after
    assert handler.stream is held[1]
    assert (sys.stdout, sys.stderr) == held


def test_a_step_line_tells_staleness_where_the_step_measured_it() -> None:
    text = io.StringIO()
    sink = ConsoleSink(("deduction",), warmup_steps=10, console=Console(file=text, width=60, soft_wrap=True, highlight=False))
    for step, scalars in enumerate(({"staleness/mean": 1.25}, {"zero_std": 0.5})):
        sink.write(StepRecord(global_step=step, phase=Phase.SELF_PLAY, step=step, version=step, scalars=scalars))
    first, second = text.getvalue().splitlines()[1:]
    assert "| staleness 1.2" in first
    assert "staleness" not in second
