import json
from pathlib import Path

from cluster.actor_trace import ActorTrace
from telemetry.records import Phase, Span, StepRecord
from telemetry.trace import FILE, TraceSink


class FakeFleet:
    def __init__(self, busy: list[tuple[str, Span]]) -> None:
        self._busy = busy

    def take_busy(self) -> list[tuple[str, Span]]:
        taken, self._busy = self._busy, []
        return taken


def test_each_actor_has_a_lane_with_its_calls_in_order_and_without_the_shortest(tmp_path: Path) -> None:
    calls = [("g-0", "generate", 10, 2.0), ("g-1", "generate", 10, 3.0), ("g-0", "load", 14, 1.0), ("g-1", "load", 14, 1e-5)]
    generators = FakeFleet([(actor, Span(name=name, begin_s=begin, seconds=took)) for actor, name, begin, took in calls])
    trace = TraceSink(tmp_path)
    sink = ActorTrace(trace, [generators, object()])
    for step in (1, 2):
        sink.write(StepRecord(global_step=step, phase=Phase.SELF_PLAY, step=step, version=step, scalars={}))
    trace.close()
    events = json.loads((tmp_path / FILE).read_text())
    lanes = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    shown = [(lanes[event["tid"]], event["name"], event["ts"], event["dur"]) for event in events if event["ph"] == "X"]
    assert shown == [
        ("g-0", "generate", 10_000_000, 2_000_000),
        ("g-0", "load", 14_000_000, 1_000_000),
        ("g-1", "generate", 10_000_000, 3_000_000),
    ]
