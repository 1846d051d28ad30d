"""The report's figures. Each function makes one figure of a run's history, or None when there is nothing to draw.

The axis is `global_step`, the one clock from the warm start on; the phases before self-play are shaded.
"""

from collections.abc import Mapping, Sequence
from os.path import commonpath

import plotly.graph_objects as go

from telemetry.history import History, Point
from telemetry.records import Phase

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")
# Of selfplay.curriculum's histogram: from never solved over what is learnable to always solved.
BINS = {
    "s0": "0: never", "s25": "up to ¼", "s50": "up to ½", "s75": "up to ¾", "s99": "below 1", "s100": "1: always"
}  # fmt: skip
BIN_COLOURS = ("#8c8c8c", "#08519c", "#3182bd", "#6baed6", "#bdd7e7", "#d9d9d9")
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
                    x=xs, y=ys, mode="lines", fill="toself", fillcolor=colour, opacity=0.15, line={"width": 0},
                    hoverinfo="skip", legendgroup=suite, showlegend=False,
                )
            )  # fmt: skip
        figure.add_trace(_line(history.series(f"eval/{suite}/accuracy"), suite, colour, markers=True, group=suite))
    _shade_phases(figure, history)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    measured = [point.global_step for suite in suites for point in history.series(f"eval/{suite}/accuracy")]
    margin = 1 + (max(measured) - min(measured)) / 15
    figure.update_xaxes(range=[min(measured) - margin, max(measured) + margin])  # a double click shows the warm start
    return figure


def lines(history: History, title: str, axis: str, names: Sequence[str], log: bool = False) -> go.Figure | None:
    """One line per scalar, named without what all the names share."""
    series = {name: points for name in names if (points := history.series(name))}
    if not series:
        return None
    figure = _figure(title, axis)
    shared = f"{commonpath(list(series))}/" if len(series) > 1 else ""
    for index, (name, points) in enumerate(series.items()):
        figure.add_trace(_line(points, name.removeprefix(shared), COLOURS[index % len(COLOURS)], markers=len(points) == 1))
    if log:
        figure.update_yaxes(type="log", exponentformat="e")
    return figure


def stacked(
    history: History, title: str, axis: str, labels: Mapping[str, str], colours: Sequence[str] = COLOURS
) -> go.Figure | None:
    """Areas on top of each other, so that their height is the sum; a step that lacks one counts 0 for it."""
    series = {label: {point.global_step: point.value for point in history.series(name)} for name, label in labels.items()}
    xs = sorted({step for values in series.values() for step in values})
    if not xs:
        return None
    figure = _figure(title, axis)
    for index, (label, values) in enumerate(series.items()):
        line = {"width": 0.5, "color": colours[index % len(colours)]}
        figure.add_trace(
            go.Scatter(x=xs, y=[values.get(step, 0.0) for step in xs], name=label, stackgroup="one", line=line)
        )  # fmt: skip
    return figure


def solve_rate_bins(history: History) -> list[go.Figure | None]:
    """A histogram over time for each kind: how many of a step's new tasks lie in each bin of solve rates."""
    kinds = [name.removeprefix("learnability/") for name in _short(history, "learnability/")]
    return [
        stacked(
            history,
            f"new {kind} tasks by solve rate",
            "tasks",
            {f"learnability/{kind}/{name}": label for name, label in BINS.items()},
            BIN_COLOURS,
        )
        for kind in kinds
    ]


def alarm_spans(history: History) -> go.Figure | None:
    """When each alarm was on, for those that ever were."""
    series = {name.removeprefix("alarm/"): history.series(name) for name in history.names("alarm/")}
    on = {name: {point.global_step: point.value for point in points} for name, points in series.items()}
    on = {name: values for name, values in on.items() if any(values.values())}
    if not on:
        return None
    xs = sorted({step for values in on.values() for step in values})
    figure = _figure("alarms (dark: on)", "")
    figure.add_trace(
        go.Heatmap(
            x=xs, y=list(on), z=[[values.get(step) for step in xs] for values in on.values()], zmin=0, zmax=1,
            colorscale=["#f3f3f3", "#c0392b"], showscale=False, ygap=3,
        )
    )  # fmt: skip
    figure.update_yaxes(automargin=True, autorange="reversed")
    figure.update_layout(height=min(380, 130 + 40 * len(on)))
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
        alarm_spans(history),
        lines(history, "reward", "mean reward", history.names("reward/")),
        lines(history, "optional parts of the reward", "mean", history.names("reward_part/")),
        lines(
            history, "solve rate and learnability", "share", _short(history, "solve_rate/") + _short(history, "learnability/")
        ),
        *solve_rate_bins(history),
        lines(history, "proposals: admitted and duplicate", "share", [*history.names("valid/"), *history.names("duplicate/")]),
        stacked(history, "refused proposals by reason", "proposals", refusals),
        lines(history, "completions cut by length", "share", history.names("truncated/")),
        lines(history, "tasks in the buffers", "tasks", history.names("buffer/")),
        lines(
            history,
            "curriculum: difficulty of new tasks, and of the buffers",
            "difficulty",
            _short(history, "difficulty/") + _ending(history, "difficulty/", ("/p90", "/buffer/p50")),
        ),
        lines(history, "curriculum: the hardest that a proposal may be", "difficulty", history.names("curriculum/bound")),
        lines(
            history,
            "curriculum: held back, mined, balanced",
            "tasks, share",
            [name for name in history.names("curriculum/") if name != "curriculum/bound"],
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
