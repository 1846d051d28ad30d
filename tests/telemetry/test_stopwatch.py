import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.stopwatch import Stopwatch


class Clock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


SECONDS = st.floats(0, 1e3, allow_nan=False)


@given(st.lists(st.tuples(st.sampled_from(["propose", "solve", "update"]), SECONDS, SECONDS)))
def test_parts_sum_to_the_step(stages: list[tuple[str, float, float]]) -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    for name, inside, after in stages:
        with watch.stage(name):
            clock.now += inside
        clock.now += after
    seconds = watch.seconds()
    parts = sum(value for name, value in seconds.items() if name not in ("step", "unattributed"))
    assert parts + seconds["unattributed"] * seconds["step"] == pytest.approx(seconds["step"], abs=1e-6)
    assert 0.0 <= seconds["unattributed"] <= 1.0


def test_stage_entered_twice_adds_up() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    for _ in range(2):
        with watch.stage("solve"):
            clock.now += 3.0
    clock.now += 2.0
    assert watch.seconds() == {"solve": 6.0, "step": 8.0, "unattributed": 0.25}


def test_nested_stages_are_an_error_and_the_outer_one_is_still_counted() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    with watch.stage("solve"):
        clock.now += 1.0
        with pytest.raises(ValueError, match="'judge' inside 'solve'"), watch.stage("judge"):
            pass
    assert watch.seconds()["solve"] == 1.0


def test_seconds_are_not_read_inside_a_stage() -> None:
    watch = Stopwatch()
    with pytest.raises(ValueError, match="between stages"), watch.stage("solve"):
        watch.seconds()


@pytest.mark.parametrize("name", ["step", "unattributed"])
def test_names_of_the_ledger_itself_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be named"), Stopwatch().stage(name):
        pass


def test_real_clock_attributes_nearly_all_of_a_step() -> None:
    watch = Stopwatch()
    with watch.stage("solve"):
        sum(range(200_000))
    assert watch.seconds()["unattributed"] < 0.2
