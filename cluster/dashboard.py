"""The Grafana dashboard of a run, made from the list of panels below: `python -m cluster.dashboard` writes it anew.

Invariant: the file in `monitoring/` is what this makes, and every gauge in it is one that a run sets (both are tested). The
gauges are `telemetry.gauges`' with Ray's `ray_` before them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "monitoring" / "grafana.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT, COLUMNS = 8, 8, 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Time series; `gauges` are names without `ray_azr_`, `legend` the labels that tell the lines of one gauge apart."""

    title: str
    gauges: tuple[str, ...]
    legend: str = ""
    unit: str = "none"
    where: str = ""  # a further condition on the labels
    stacked: bool = False


PANELS = (
    Panel(title="Held-out accuracy", gauges=("eval_accuracy",), legend="{{suite}}", unit="percentunit"),
    Panel(title="Held-out interval", gauges=("eval_low", "eval_high"), legend="{{suite}}", unit="percentunit"),
    Panel(title="Alarms", gauges=("alarm",), legend="{{alarm}}"),
    Panel(title="Reward", gauges=("reward",), legend="{{kind}} {{role}}"),
    Panel(title="Solve rate", gauges=("solve_rate",), legend="{{kind}}", unit="percentunit"),
    Panel(title="Learnability", gauges=("learnability",), legend="{{kind}}"),
    Panel(title="Valid proposals", gauges=("valid",), legend="{{kind}}", unit="percentunit"),
    Panel(title="Duplicates", gauges=("duplicate",), legend="{{kind}}", unit="percentunit"),
    Panel(title="Refusals in a step", gauges=("refusal",), legend="{{kind}} {{reason}}", stacked=True),
    Panel(title="Tasks in the buffers", gauges=("buffer",), legend="{{kind}}"),
    Panel(title="Difficulty of the buffers, median", gauges=("difficulty_buffer_p50",), legend="{{kind}}"),
    Panel(title="Tasks whose attempts all earn the same", gauges=("zero_std",), legend="{{kind}}", unit="percentunit"),
    Panel(
        title="Seconds of a step", gauges=("stage_seconds",), legend="{{stage}}", unit="s", where='stage!="step"', stacked=True
    ),
    Panel(title="Tokens per second", gauges=("tokens_per_s",)),
    Panel(title="Unattributed share of a step", gauges=("unattributed_share",), unit="percentunit"),
    Panel(title="Mismatch of sampler and learner", gauges=("mismatch_mean", "mismatch_max")),
    Panel(title="Loss", gauges=("loss_policy", "loss_kl")),
    Panel(title="Entropy, gradient norm", gauges=("entropy", "grad_norm")),
    Panel(title="Cut by length", gauges=("truncated",), legend="{{kind}} {{role}}", unit="percentunit"),
    Panel(title="Tokens of an answer", gauges=("length",), legend="{{kind}} {{role}}"),
    Panel(title="Generators that serve, their requests", gauges=("generators_alive", "generators_in_flight")),
    Panel(title="Clocks", gauges=("global_step", "policy_version")),
)
NODE_PANELS = (
    ("CPU of the nodes", "ray_node_cpu_utilization", "percent"),
    ("Memory of the nodes", "ray_node_mem_used", "bytes"),
)


def dashboard() -> dict[str, Any]:
    """As Grafana imports it; `$run` chooses among the runs of the cluster."""
    panels = [_series(panel.title, _targets(panel), panel.unit, panel.stacked) for panel in PANELS]
    nodes = [_series(title, [_target(name, "{{ip}}", 0)], unit, False) for title, name, unit in NODE_PANELS]
    return {
        "uid": "absolute-zero-ray",
        "title": "Absolute Zero self-play",
        "tags": ["ray"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_datasource(), _run()]},
        "panels": [{**panel, "id": place + 1, "gridPos": _place(place)} for place, panel in enumerate([*panels, *nodes])],
    }


def _targets(panel: Panel) -> list[dict[str, Any]]:
    conditions = ", ".join(part for part in ('run=~"$run"', panel.where) if part)
    several = len(panel.gauges) > 1
    return [
        _target(f"ray_azr_{gauge}{{{conditions}}}", f"{{{{run}}}} {panel.legend} {gauge if several else ''}".strip(), number)
        for number, gauge in enumerate(panel.gauges)
    ]


def _target(expression: str, legend: str, number: int) -> dict[str, Any]:
    return {"datasource": SOURCE, "expr": expression, "legendFormat": legend, "refId": chr(ord("A") + number)}


def _series(title: str, targets: list[dict[str, Any]], unit: str, stacked: bool) -> dict[str, Any]:
    custom = {"fillOpacity": 30, "stacking": {"mode": "normal", "group": "A"}} if stacked else {"fillOpacity": 0}
    return {
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, "custom": custom}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "none"}},
    }


def _place(number: int) -> dict[str, int]:
    row, column = divmod(number, COLUMNS // WIDTH)
    return {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT}


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "data source"}


def _run() -> dict[str, Any]:
    query = "label_values(ray_azr_global_step, run)"
    return {
        "name": "run", "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": "run"},
        "refresh": 2, "includeAll": True, "multi": True, "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


def text() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
