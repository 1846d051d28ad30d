"""How much did self-play raise held-out accuracy? Reads finished runs; trains nothing.

    python -m benchmarks.rise RUN [RUN ...] [--suite deduction] [--against OTHER ...] [--json]

Every suite is the same list of items before and after, so the rise is paired: each item contributes (right after − right
before), averaged over the runs. The 95 % interval of the mean rise is a bootstrap over items (10,000 resamples, seed 0):
it speaks of these very runs. `azr sweep` draws the runs anew as well. With `--against`, once for each run, it also says how
far each run's last answers are from those of the other run in its place: paired by item, runs drawn anew as well.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from configs.errors import UserError
from telemetry.heldout import read_marks
from telemetry.intervals import wilson
from telemetry.paired import Estimate, bootstrap_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """One run: accuracies as shares, `changes` per item in -1, 0, 1, `last` answers per item in 0, 1."""

    run: str
    initial: float
    final: float
    total: int
    changes: tuple[int, ...]
    last: tuple[int, ...]


def read_rise(run: Path, suite: str) -> Rise:
    """From the first to the last evaluation of the suite. Raises UserError when there are not two."""
    if not run.is_dir():
        raise UserError(f"{run} cannot be read (no such folder); name run directories")
    try:
        marks = read_marks(run).get(suite)
    except (OSError, ValueError) as error:
        raise UserError(f"the evaluations of {run} cannot be read ({error}); name run directories") from error
    if marks is None or marks.num_evaluations < 2:
        found = marks.num_evaluations if marks else 0
        raise UserError(f"{run} must have evaluated {suite} at least twice, found {found} evaluations")
    total = len(marks.first)
    return Rise(
        run=run.name,
        initial=sum(marks.first) / total,
        final=sum(marks.last) / total,
        total=total,
        changes=marks.changes,
        last=marks.last,
    )


def mean_rise(rises: Sequence[Rise]) -> Estimate:
    """Mean over runs and items of the paired change, with its bootstrap interval over items."""
    return bootstrap_mean([rise.changes for rise in rises], over_runs=False)


def mean_difference(rises: Sequence[Rise], others: Sequence[Rise]) -> Estimate:
    """Mean over runs and items of what the last evaluations differ by, run by run. UserError where they cannot be paired."""
    if len(rises) != len(others):
        raise UserError(
            f"--against must be given once for each run, got {len(others)} for {len(rises)} runs; pair them in order"
        )
    for one, other in zip(rises, others, strict=True):
        if one.total != other.total:
            raise UserError(
                f"{one.run} was asked {one.total} items and {other.run} {other.total}; compare runs of one configuration"
            )
    return bootstrap_mean(
        [[mine - its for mine, its in zip(one.last, other.last, strict=True)] for one, other in zip(rises, others, strict=True)]
    )


def markdown(rises: Sequence[Rise], others: Sequence[Rise] = ()) -> str:
    lines = ["| run | before | after | rise |", "|---|---|---|---|"]
    for rise in rises:
        cells = [_share(rise.initial, rise.total), _share(rise.final, rise.total), f"{100 * (rise.final - rise.initial):+.1f}"]
        lines.append(f"| {rise.run} | {' | '.join(cells)} |")
    lines.append(f"| mean rise, paired 95 % interval | | | {_points(mean_rise(rises))} |")
    if others:
        names = ", ".join(other.run for other in others)
        lines.append(f"| mean difference from {names} | | | {_points(mean_difference(rises, others))} |")
    return "\n".join(lines)


def figures(suite: str, rises: Sequence[Rise], others: Sequence[Rise] = ()) -> str:
    rise = mean_rise(rises)
    runs = [{name: value for name, value in asdict(one).items() if name not in ("changes", "last")} for one in rises]
    told = {"suite": suite, "runs": runs, "mean_rise": rise.mean, "low": rise.low, "high": rise.high}
    return json.dumps(told | ({"difference": asdict(mean_difference(rises, others))} if others else {}))


def _points(estimate: Estimate) -> str:
    mean, low, high = (100 * value for value in asdict(estimate).values())
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _share(share: float, total: int) -> str:
    low, high = wilson(round(share * total), total)
    return f"{100 * share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def main(
    runs: list[Path],
    suite: Annotated[str, typer.Option()] = "deduction",
    against: Annotated[list[Path] | None, typer.Option(help="Another run for each, in the same order.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Prints a Markdown table, or with --json one line of figures."""
    try:
        rises, others = ([read_rise(run, suite) for run in listed] for listed in (runs, against or []))
        told = figures(suite, rises, others) if as_json else markdown(rises, others)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    typer.echo(told)


if __name__ == "__main__":
    typer.run(main)
