import io

from rich.console import Console

from telemetry.console import ConsoleSink


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
