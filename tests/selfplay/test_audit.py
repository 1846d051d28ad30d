"""The audit finds what is lost or repeated, wherever it was lost, and a killed and resumed run has lost nothing."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from buffers.ledger import Event, Ledger
from configs.schema import RunConfig
from configs.system_sections import RunSection
from selfplay.audit import FINISHED, Balance, audit
from selfplay.checkpoint import Checkpoints
from selfplay.loop import Parts, SelfPlay
from tasks.arithmetic.family import ArithmeticFamily
from tasks.records import Request, Rollout
from telemetry.jsonl import BEFORE_ALL, JsonlSink
from telemetry.records import StepRecord
from telemetry.status import INTERRUPTED, RUNNING

Play = Callable[..., None]


class FileTelemetry:
    """The event files alone, rewound to where the newest checkpoint stands, as the hub does."""

    def __init__(self, run_dir: Path) -> None:
        found = Checkpoints(run_dir, keep=1).newest()
        self._sink = JsonlSink(run_dir, found[1].global_step if found else BEFORE_ALL)

    def emit(self, record: StepRecord) -> None:
        self._sink.write(record)


class Killed(Exception):
    """Ends a run in the middle of a step."""


@pytest.fixture(scope="module")
def play(small_config: RunConfig, family: ArithmeticFamily, build_parts: Callable[[], Parts]) -> Play:
    """`play(run_dir)`: the run or its resume; `kill_after`: so many calls of the generator."""
    config = small_config.model_copy(update={"run": RunSection(steps=4, checkpoint_every=2)})

    def run(run_dir: Path, kill_after: int = 10**6) -> None:
        parts, calls = build_parts(), iter(range(kill_after))
        generate = parts.generator.generate

        def generate_or_die(requests: Sequence[Request]) -> list[Rollout]:
            if next(calls, None) is None:
                raise Killed
            return generate(requests)

        parts.generator.generate = generate_or_die  # type: ignore[method-assign]
        SelfPlay(config, family, replace(parts, telemetry=FileTelemetry(run_dir)), run_dir).run()

    return run


@pytest.fixture(scope="module")
def whole(play: Play, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    path = tmp_path_factory.mktemp("whole") / "run"
    play(path)
    return path


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """One to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def balance_of(run_dir: Path, status: str = FINISHED) -> Balance:
    found = Checkpoints(run_dir, keep=1).newest()
    return audit(run_dir, status, found[1] if found else None)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_finished_run_balances(finished: Path) -> None:
    balance = balance_of(finished)
    events = balance.events
    assert balance.holds
    assert balance.in_flight == 0
    assert events[Event.PROPOSED] == events[Event.ADMITTED] + events[Event.REFUSED]
    assert events[Event.PROPOSED] + events[Event.ATTEMPTED] == events[Event.TRAINED] + events[Event.DROPPED]
    assert events[Event.ATTEMPTED] == 4 * 3 * 4 * 4
    assert balance.reasons["dropped:seeding"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("kills", [[1], [7, 3]])
def test_a_run_that_was_killed_and_resumed_balances_to_the_same_numbers(
    play: Play, whole: Path, tmp_path: Path, kills: list[int]
) -> None:
    torn = tmp_path / "torn"
    for kill_after in kills:
        with pytest.raises(Killed):
            play(torn, kill_after)
        between = balance_of(torn, INTERRUPTED)
        assert between.holds
        assert between.in_flight == 0
        assert balance_of(torn, RUNNING).holds
    play(torn)
    assert balance_of(torn) == balance_of(whole)


def test_a_run_in_the_middle_of_a_step_has_work_in_flight_and_nothing_lost(play: Play, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        play(tmp_path / "torn", 7)
    balance = balance_of(tmp_path / "torn", RUNNING)
    assert balance.holds
    assert balance.in_flight > 0


def test_a_finished_run_with_work_in_flight_has_lost_it(play: Play, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        play(tmp_path / "torn", 7)
    assert balance_of(tmp_path / "torn").lost


def test_an_attempt_that_is_missing_in_the_event_files_is_lost_and_named(finished: Path) -> None:
    path = finished / "telemetry" / "attempts.jsonl"
    rows = lines(path)
    gone = rows.pop(40)
    write(path, rows)
    assert balance_of(finished).lost == (gone["attempt_id"],)


def test_an_attempt_that_stands_twice_in_the_event_files_is_duplicated_and_named(finished: Path) -> None:
    path = finished / "telemetry" / "attempts.jsonl"
    rows = lines(path)
    write(path, [*rows, rows[-1]])
    assert balance_of(finished).duplicated == (rows[-1]["attempt_id"],)


def test_a_proposal_that_the_files_and_the_ledger_call_trained_differently_is_named(finished: Path) -> None:
    path = finished / "telemetry" / "proposals.jsonl"
    rows = lines(path)
    number = next(number for number, row in enumerate(rows) if row["reward"] is not None)
    rows[number]["reward"] = None
    write(path, rows)
    assert balance_of(finished).lost == (rows[number]["proposal_id"],)


def test_work_in_a_sealed_segment_that_nobody_went_on_with_is_lost(finished: Path) -> None:
    state = Checkpoints(finished, keep=1).newest()
    assert state is not None
    ledger = Ledger(finished / "ledger", state[1].ledger)
    ledger.record(Event.ATTEMPTED, ["zero-0@99#0"])
    ledger.seal()
    ledger.close()
    assert balance_of(finished).lost == ("zero-0@99#0",)


def test_what_was_trained_twice_is_duplicated_over_segments_that_the_ledger_had_forgotten(finished: Path) -> None:
    state = Checkpoints(finished, keep=1).newest()
    assert state is not None
    trained = lines(finished / "telemetry" / "attempts.jsonl")[0]["attempt_id"]
    ledger = Ledger(finished / "ledger", state[1].ledger)
    for event in (Event.ATTEMPTED, Event.JUDGED, Event.TRAINED):
        ledger.record(event, [str(trained)])
    ledger.close()
    assert balance_of(finished).duplicated == (trained,)


def test_what_the_steps_count_as_trained_must_be_what_the_ledger_says(finished: Path) -> None:
    path = finished / "telemetry" / "steps.jsonl"
    rows = lines(path)
    rows[-1]["scalars"]["counts/trained"] -= 1  # type: ignore[index]
    write(path, rows)
    assert "steps.jsonl tells of" in balance_of(finished).unequal
