"""The report's figures. Each function makes one figure of a run's history, or None when there is nothing to draw.

The axis is `global_step`, the one clock from the warm start on; the phases before self-play are shaded.
"""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from telemetry.history import History, Point
from telemetry.records import Phase

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")
WARM_START_LABEL = "warm start (stands in for pre-training)"


def learning_curve(history: History) -> go.Figure | None:
    """Held-out accuracy of each suite with its 95 % Wilson interval."""
    suites = [suite.suite for suite in history.suites()]
    if not suites:
        return None
    figure = _figure("held-out accuracy (greedy)", "share right")
    for index, suite in enumerate(suites):
        colour = COLOURS[index % len(COLOURS)]
        low, high = history.series(f"eval/{suite}/low"), history.series(f"eval/{suite}/high")
        if len(low) == len(high) > 0:
            xs = [point.global_step for point in (*high, *reversed(low))]
            ys = [point.value for point in (*high, *reversed(low))]
            figure.add_trace(
                go.Scatter(
                    x=xs, y=ys, fill="toself", fillcolor=colour, opacity=0.15, line={"width": 0}, hoverinfo="skip",
                    legendgroup=suite, showlegend=False,
                )
            )  # fmt: skip
        figure.add_trace(_line(history.series(f"eval/{suite}/accuracy"), suite, colour, markers=True, group=suite))
    _shade_phases(figure, history)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def lines(history: History, title: str, axis: str, names: Sequence[str], log: bool = False) -> go.Figure | None:
    """One line per scalar, named without what all the names share."""
    series = {name: points for name in names if (points := history.series(name))}
    if not series:
        return None
    figure = _figure(title, axis)
    for index, (name, points) in enumerate(series.items()):
        figure.add_trace(_line(points, name, COLOURS[index % len(COLOURS)], markers=len(points) == 1))
    if log:
        figure.update_yaxes(type="log", exponentformat="e")
    return figure


def stacked(history: History, title: str, axis: str, labels: Mapping[str, str]) -> go.Figure | None:
    """Areas on top of each other, so that their height is the sum; a step that lacks one counts 0 for it."""
    series = {label: {point.global_step: point.value for point in history.series(name)} for name, label in labels.items()}
    xs = sorted({step for values in series.values() for step in values})
    if not xs:
        return None
    figure = _figure(title, axis)
    for label, values in series.items():
        figure.add_trace(
            go.Scatter(x=xs, y=[values.get(step, 0.0) for step in xs], name=label, stackgroup="one", line={"width": 0.5})
        )
    return figure


def time_ledger(history: History) -> go.Figure | None:
    """Seconds of each stage and what no stage accounts for; the top of the stack is the step."""
    own = ("time/step", "time/unattributed")
    stages = {name: name.removeprefix("time/") for name in history.names("time/") if name not in own}
    figure = stacked(history, "where a step's time goes", "seconds", stages)
    share = {point.global_step: point.value for point in history.series("time/unattributed")}
    steps = [point for point in history.series("time/step") if point.global_step in share]
    if figure is not None and steps:
        ys = [point.value * share[point.global_step] for point in steps]
        figure.add_trace(go.Scatter(x=[point.global_step for point in steps], y=ys, name="unattributed", stackgroup="one"))
    return figure


def all_figures(history: History) -> list[go.Figure]:
    """Every figure that this run has data for, in the order of the report."""
    refusals = {name: name.removeprefix("refusal/") for name in history.names("refusal/")}
    figures = [
        learning_curve(history),
        lines(history, "reward", "mean reward", history.names("reward/")),
        lines(
            history,
            "solve rate and learnability",
            "share",
            [*history.names("solve_rate/"), *_short(history, "learnability/")],
        ),
        lines(history, "proposals: admitted and duplicate", "share", [*history.names("valid/"), *history.names("duplicate/")]),
        stacked(history, "refused proposals by reason", "proposals", refusals),
        lines(history, "tasks in the buffers", "tasks", history.names("buffer/")),
        lines(
            history,
            "difficulty of admitted tasks",
            "difficulty",
            _short(history, "difficulty/") + _ending(history, "difficulty/", ("/p90",)),
        ),
        lines(history, "diversity of admitted tasks", "entropy ÷ seeds'", _ending(history, "diversity/", ("/of_seeds",))),
        lines(history, "tasks without a signal (all attempts alike)", "share", history.names("zero_std")),
        time_ledger(history),
        lines(
            history, "sampler against learner", "|Δ logprob|, KL", ["mismatch/max", "mismatch/mean", "mismatch/kl"], log=True
        ),
        lines(history, "policy entropy", "nats per token", ["entropy"]),
        lines(history, "gradient norm", "norm", ["grad_norm"]),
        lines(history, "learning rate", "rate", ["lr"]),
        lines(history, "loss", "loss", history.names("loss/")),
        lines(history, "throughput", "tokens per second", ["tokens/per_s"]),
        lines(history, WARM_START_LABEL, "loss", ["warm_start/loss"], log=True),
    ]
    return [figure for figure in figures if figure is not None]


def _short(history: History, prefix: str) -> list[str]:
    """Only the figure of each kind, without its further parts."""
    return [name for name in history.names(prefix) if name.count("/") == 1]


def _ending(history: History, prefix: str, endings: tuple[str, ...]) -> list[str]:
    return [name for name in history.names(prefix) if name.endswith(endings)]


def _figure(title: str, axis: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        title=title, template="plotly_white", height=380, margin={"l": 60, "r": 20, "t": 50, "b": 45}, hovermode="x unified",
        legend={"font": {"size": 11}},
    )  # fmt: skip
    figure.update_xaxes(title="global step")
    figure.update_yaxes(title=axis)
    return figure


def _line(points: Sequence[Point], name: str, colour: str, markers: bool, group: str | None = None) -> go.Scatter:
    return go.Scatter(
        x=[point.global_step for point in points],
        y=[point.value for point in points],
        name=name,
        mode="lines+markers" if markers else "lines",
        line={"color": colour},
        legendgroup=group,
    )


def _shade_phases(figure: go.Figure, history: History) -> None:
    for phase, label in ((Phase.WARM_START, WARM_START_LABEL), (Phase.SEEDING, "seeding")):
        span = history.span(phase)
        if span is not None:
            figure.add_vrect(
                x0=span[0], x1=span[1] + 1, fillcolor="#888", opacity=0.12, line_width=0, annotation_text=label,
                annotation_position="top left",
            )  # fmt: skip
