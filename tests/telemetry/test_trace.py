"""The rules of the Trace Event Format (JSON array): what chrome://tracing and Perfetto need to draw it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import RunConfig
from telemetry.hub import TelemetryHub
from telemetry.records import Phase, Span, StepRecord
from telemetry.stopwatch import Stopwatch
from telemetry.trace import FILE, OLDER, TraceSink, read_events

Records = Callable[..., StepRecord]
FAR = 1.7e9  # seconds of Unix time: microseconds of it have no exact float


def timed(record: StepRecord, begin_s: float = FAR) -> StepRecord:
    spans = (Span(name="step", begin_s=begin_s, seconds=1.0), Span(name="solve", begin_s=begin_s + 0.1, seconds=0.5))
    return replace(record, spans=spans)


def assert_well_formed(events: list[dict[str, Any]]) -> None:
    """Complete and metadata events with the fields that they must have, and no partial overlap within a lane."""
    names: dict[tuple[int, int], str] = {}
    ends: dict[tuple[int, int], int] = {}
    for event in events:
        lane = (event["pid"], event["tid"])
        assert all(type(value) is int for value in lane)
        assert isinstance(event["name"], str)
        assert event["name"]
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            names[lane] = event["args"]["name"]
            continue
        assert event["ph"] == "X"
        assert lane in names, "a lane is named before it is used"
        assert type(event["ts"]) is int
        assert type(event["dur"]) is int
        assert event["dur"] >= 0
        assert event["ts"] >= ends.get(lane, 0), "the events of a lane come in order and do not overlap"
        ends[lane] = event["ts"] + event["dur"]
    assert len(set(names.values())) == len(names)


def lanes_of(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    return {
        name: [event["name"] for event in events if event["ph"] == "X" and event["tid"] == lane] for lane, name in names.items()
    }


def test_a_closed_trace_is_json_with_a_lane_of_steps_and_one_of_stages(tmp_path: Path, make_record: Records) -> None:
    sink = TraceSink(tmp_path)
    for step in (1, 2):
        sink.write(timed(make_record(step), FAR + step))
    sink.add("azr-generator-0", [Span(name="generate", begin_s=FAR + 1.2, seconds=0.3)], {"step": 1})
    sink.close()
    events = json.loads((tmp_path / FILE).read_text())
    assert_well_formed(events)
    assert lanes_of(events) == {"steps": ["step 1", "step 2"], "stages": ["solve"] * 2, "azr-generator-0": ["generate"]}
    assert events == read_events(tmp_path / FILE)


@pytest.mark.parametrize("end", ["", "]\n", ',{"ph": "X", "na', ","])
def test_a_resumed_run_goes_on_in_the_file_whatever_its_end_is(tmp_path: Path, make_record: Records, end: str) -> None:
    first = TraceSink(tmp_path)  # never closed, as after kill -9
    first.write(timed(make_record(1)))
    with (tmp_path / FILE).open("a") as file:
        file.write(end)
    second = TraceSink(tmp_path)
    second.write(timed(make_record(2), FAR + 5))
    second.close()
    events = json.loads((tmp_path / FILE).read_text())
    assert_well_formed(events)
    assert lanes_of(events)["steps"] == ["step 1", "step 2"]


def test_a_trace_of_a_killed_run_is_an_array_but_for_its_bracket(tmp_path: Path, make_record: Records) -> None:
    sink = TraceSink(tmp_path)
    sink.write(timed(make_record(1)))
    assert_well_formed(json.loads((tmp_path / FILE).read_text() + "]"))


def test_a_long_trace_is_turned_over_and_the_newest_part_names_its_lanes(tmp_path: Path, make_record: Records) -> None:
    sink = TraceSink(tmp_path, max_bytes=2000)
    for step in range(1, 60):
        sink.write(timed(make_record(step), FAR + step))
    sink.close()
    newest, older = (json.loads((tmp_path / name).read_text()) for name in (FILE, OLDER))
    assert_well_formed(newest)
    assert_well_formed(older)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 6000
    assert lanes_of(newest)["steps"][-1] == "step 59"


def test_records_without_spans_leave_no_event(tmp_path: Path, make_record: Records) -> None:
    sink = TraceSink(tmp_path)
    sink.write(make_record(1, Phase.WARM_START))
    sink.close()
    assert [event["ph"] for event in json.loads((tmp_path / FILE).read_text())] == ["M"]


@given(st.lists(st.tuples(st.floats(0, 1e-3), st.floats(0, 2.0)), max_size=20))
def test_stages_of_a_stopwatch_never_overlap_in_the_trace(tmp_path_factory: Any, stages: list[tuple[float, float]]) -> None:
    now = 12.3456789

    def clock() -> float:
        return now

    watch = Stopwatch(clock)
    for gap, seconds in stages:
        now += gap
        with watch.stage("stage"):
            now += seconds
    spans = watch.spans()
    assert spans[0].seconds == pytest.approx(watch.seconds()["step"])
    run_dir = tmp_path_factory.mktemp("trace")
    sink = TraceSink(run_dir)
    sink.write(StepRecord(global_step=1, phase=Phase.SELF_PLAY, step=1, version=1, scalars={}, spans=spans))
    assert_well_formed(read_events(run_dir / FILE))


def test_the_hub_writes_the_trace_and_closes_it(
    tmp_path: Path, make_record: Records, make_config: Callable[..., RunConfig]
) -> None:
    hub = TelemetryHub(tmp_path, make_config(), resume_global_step=None, wandb_run_id="x", console=False)
    hub.emit(timed(make_record(1)))
    hub.close("finished", {})
    assert lanes_of(json.loads((tmp_path / FILE).read_text()))["steps"] == ["step 1"]
