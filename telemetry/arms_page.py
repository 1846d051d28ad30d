"""The page of an experiment: its tables, and curves against tokens with one colour per arm and a band over seeds.

One file that opens without a network, made like a run's report. The line of an arm is the mean of its runs, the band goes
from the lowest to the highest; between two measurements a run is taken to go straight.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from telemetry.arms import ENTROPY, ArmFigures, Curve, Head
from telemetry.arms_table import arms_tables, facts_line, notes
from telemetry.charts import COLOURS
from telemetry.page import render_page

DASHES = ("solid", "dash", "dot", "dashdot")  # arms beyond the colours
MAX_POINTS = 200  # of a line
SHARE, VALUE = ".0%", None


def arms_page(head: Head, arms: Sequence[ArmFigures]) -> str:
    """The whole of experiment.html."""
    done = sum(len(arm.by_seed) for arm in arms)
    return render_page(
        run=head.name,
        status=f"{done} of {sum(len(arm.runs.seeds) for arm in arms)} runs",
        facts={"baseline": head.baseline, "tokens of each run": f"{head.token_budget:,}"},
        notes=[head.question, facts_line(head).replace("`", ""), *notes(head, arms)],
        tables=arms_tables(head, arms),
        figures=arms_figures(head, arms),
        config=head.text,
    )


def arms_figures(head: Head, arms: Sequence[ArmFigures]) -> list[go.Figure]:
    """The ranking suite first; a figure for each scalar that some run has."""
    scalars = dict.fromkeys(name for arm in arms for run in arm.by_seed.values() for name in run.curves)
    ranking = f"eval/{head.suite}/accuracy"
    ordered = sorted(scalars, key=lambda name: (name != ranking, not name.startswith("eval/")))
    return [_figure(name, {arm.runs.arm: _runs_of(arm, name) for arm in arms}) for name in ordered]


def _runs_of(arm: ArmFigures, scalar: str) -> list[Curve]:
    return [run.curves.get(scalar, ()) for run in arm.by_seed.values()]


def band(curves: Sequence[Curve]) -> tuple[list[float], list[float], list[float], list[float]]:
    """xs, means, lows and highs over the runs; empty lists without a curve. A run that has ended keeps its last value."""
    curves = [curve for curve in curves if curve]
    if not curves:
        return [], [], [], []
    xs = np.unique([x for curve in curves for x, _ in curve])
    if len(xs) > MAX_POINTS:
        xs = xs[np.linspace(0, len(xs) - 1, MAX_POINTS).round().astype(int)]
    ys_RX = np.array([np.interp(xs, [x for x, _ in curve], [y for _, y in curve]) for curve in curves])
    return xs.tolist(), ys_RX.mean(0).tolist(), ys_RX.min(0).tolist(), ys_RX.max(0).tolist()


def _figure(scalar: str, curves: Mapping[str, Sequence[Curve]]) -> go.Figure:
    title, form = _title(scalar)
    figure = go.Figure()
    for index, (arm, runs) in enumerate(curves.items()):
        xs, means, lows, highs = band(runs)
        if not xs:
            continue
        colour = COLOURS[index % len(COLOURS)]
        figure.add_trace(
            go.Scatter(
                x=[*xs, *reversed(xs)], y=[*highs, *reversed(lows)], fill="toself", fillcolor=colour, opacity=0.15,
                line={"width": 0}, hoverinfo="skip", legendgroup=arm, showlegend=False,
            )
        )  # fmt: skip
        dash = DASHES[index // len(COLOURS) % len(DASHES)]
        figure.add_trace(
            go.Scatter(x=xs, y=means, name=arm, legendgroup=arm, mode="lines", line={"color": colour, "dash": dash})
        )
    figure.update_layout(
        title=title, template="plotly_white", height=420, margin={"l": 60, "r": 20, "t": 50, "b": 45}, hovermode="x unified",
        legend={"font": {"size": 11}},
    )  # fmt: skip
    figure.update_xaxes(title="tokens generated in self-play")
    figure.update_yaxes(tickformat=form)
    return figure


def _title(scalar: str) -> tuple[str, str | None]:
    """What a scalar is called in the page, and how its axis is written."""
    group, _, rest = scalar.partition("/")
    kind = rest.split("/")[0]
    if group == "diversity" and scalar.endswith(ENTROPY):
        return f"entropy of new {kind} tasks, over that of the seeds", VALUE
    titles = {
        "eval": (f"held-out {rest.removesuffix('/accuracy')} (greedy)", SHARE),
        "valid": (f"{kind} proposals admitted", SHARE),
        "buffer": (f"{kind} tasks in the buffer", VALUE),
        "reward": (f"the proposer's reward for {kind}", VALUE),
        "zero_std": (f"tasks without a signal{f': {kind}' if kind else ''}", SHARE),
    }
    return titles.get(group, (scalar, VALUE))
