"""Ray metrics: the scalars of every step as gauges at the metrics port of the driver's node, where Prometheus scrapes them.

Invariant: made and used while Ray is connected. Ray puts `ray_` before the names. Does not: name anything (telemetry.gauges).
"""

from ray.util.metrics import Gauge

from telemetry.gauges import gauges
from telemetry.records import StepRecord


class RayMetrics:
    """A sink of `TelemetryHub.attached`. A gauge of several runs on one cluster tells them apart by the label `run`."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._gauges: dict[str, Gauge] = {}

    def write(self, record: StepRecord) -> None:
        for one in gauges(record):
            labels = {"run": self._run, **dict(one.labels)}
            if one.name not in self._gauges:
                words = one.name.replace("_", " ").removeprefix("azr ")
                self._gauges[one.name] = Gauge(one.name, description=f"{words} of a self-play run", tag_keys=tuple(labels))
            self._gauges[one.name].set(one.value, tags=labels)
