"""How much did self-play raise held-out accuracy? Reads finished runs; trains nothing.

    python -m benchmarks.rise RUN [RUN ...] [--suite deduction] [--json]

Every suite is the same list of items before and after, so the rise is paired: each item contributes (right after − right
before), averaged over the runs. The 95 % interval of the mean rise is a bootstrap over items (10,000 resamples, seed 0).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

from configs.errors import UserError
from telemetry.intervals import wilson

RESAMPLES = 10_000


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
    path = run / "telemetry" / "evals.jsonl"
    by_step: dict[int, dict[int, bool]] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if row["suite"] == suite:
                    by_step.setdefault(row["step"], {})[row["item"]] = row["right"]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name run directories") from error
    if len(by_step) < 2:
        raise UserError(f"{run} must have evaluated {suite} at least twice, found {len(by_step)} evaluations")
    first, last = by_step[min(by_step)], by_step[max(by_step)]
    changes = tuple(int(last[item]) - int(first[item]) for item in sorted(first))
    total = len(first)
    return Rise(
        run=run.name, initial=sum(first.values()) / total, final=sum(last.values()) / total, total=total, changes=changes
    )


def mean_rise(rises: Sequence[Rise]) -> tuple[float, float, float]:
    """Mean over runs and items of the paired change, with its bootstrap interval."""
    changes_RI: npt.NDArray[np.float64] = np.array([rise.changes for rise in rises], np.float64)
    per_item_I = changes_RI.mean(0)
    rng = np.random.default_rng(0)
    means = per_item_I[rng.integers(0, len(per_item_I), (RESAMPLES, len(per_item_I)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(per_item_I.mean()), float(low), float(high)


def markdown(rises: Sequence[Rise]) -> str:
    lines = ["| run | before | after | rise |", "|---|---|---|---|"]
    for rise in rises:
        cells = [_share(rise.initial, rise.total), _share(rise.final, rise.total), f"{100 * (rise.final - rise.initial):+.1f}"]
        lines.append(f"| {rise.run} | {' | '.join(cells)} |")
    mean, low, high = mean_rise(rises)
    lines.append(f"| mean rise, paired 95 % interval | | | {100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] |")
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
        mean, low, high = mean_rise(rises)
        listed = [{name: value for name, value in asdict(rise).items() if name != "changes"} for rise in rises]
        typer.echo(json.dumps({"suite": suite, "runs": listed, "mean_rise": mean, "low": low, "high": high}))
    else:
        typer.echo(markdown(rises))


if __name__ == "__main__":
    typer.run(main)
