"""How much did self-play raise held-out accuracy? Reads finished runs; trains nothing.

    python -m benchmarks.rise RUN [RUN ...] [--suite deduction] [--json]

Every suite is the same list of items before and after, so the rise is paired: each item contributes (right after − right
before), averaged over the runs. The 95 % interval of the mean rise is a bootstrap over items (10,000 resamples, seed 0):
it speaks of these very runs. `azr sweep` draws the runs anew as well.
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
    """One run: accuracies as shares, `changes` per item in -1, 0, 1."""

    run: str
    initial: float
    final: float
    total: int
    changes: tuple[int, ...]


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
    )


def mean_rise(rises: Sequence[Rise]) -> Estimate:
    """Mean over runs and items of the paired change, with its bootstrap interval over items."""
    return bootstrap_mean([rise.changes for rise in rises], over_runs=False)


def markdown(rises: Sequence[Rise]) -> str:
    lines = ["| run | before | after | rise |", "|---|---|---|---|"]
    for rise in rises:
        cells = [_share(rise.initial, rise.total), _share(rise.final, rise.total), f"{100 * (rise.final - rise.initial):+.1f}"]
        lines.append(f"| {rise.run} | {' | '.join(cells)} |")
    mean, low, high = (100 * value for value in asdict(mean_rise(rises)).values())
    lines.append(f"| mean rise, paired 95 % interval | | | {mean:+.1f} [{low:+.1f}, {high:+.1f}] |")
    return "\n".join(lines)


def _share(share: float, total: int) -> str:
    low, high = wilson(round(share * total), total)
    return f"{100 * share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def main(
    runs: list[Path],
    suite: Annotated[str, typer.Option()] = "deduction",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Prints a Markdown table, or with --json one line of figures."""
    try:
        rises = [read_rise(run, suite) for run in runs]
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    if as_json:
        rise = mean_rise(rises)
        listed = [{name: value for name, value in asdict(one).items() if name != "changes"} for one in rises]
        typer.echo(json.dumps({"suite": suite, "runs": listed, "mean_rise": rise.mean, "low": rise.low, "high": rise.high}))
    else:
        typer.echo(markdown(rises))


if __name__ == "__main__":
    typer.run(main)
