"""The table of an experiment as files: table.md, table.json and experiment.html, from the runs that are finished.

Each file is replaced whole. What stands in them belongs to `telemetry.arms_table` and `telemetry.arms_page`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.arm_runs import ArmRun
from cluster.experiment import Experiment
from configs.errors import UserError
from telemetry.arms import ArmRuns, Head, read_arms
from telemetry.arms_page import arms_page
from telemetry.arms_table import arms_json, arms_markdown
from telemetry.atomic import write_atomically


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    markdown: str
    values: dict[str, object]
    file: Path
    page: Path


def write_table(file: Path, experiment: Experiment, folder: Path, runs: Sequence[ArmRun]) -> Table:
    """UserError when a finished run cannot be read, or the files cannot be written."""
    head = Head(
        name=file.stem,
        question=experiment.question,
        base=experiment.base,
        suite=experiment.suite,
        baseline=experiment.baseline,
        token_budget=experiment.token_budget,
        text=file.read_text(encoding="utf-8"),
    )
    try:
        arms = read_arms([_arm_runs(arm, experiment, runs) for arm in experiment.arms], experiment.baseline)
        table = Table(
            markdown=arms_markdown(head, arms),
            values=arms_json(head, arms),
            file=folder / "table.md",
            page=folder / "experiment.html",
        )
        write_atomically(table.file, table.markdown)
        write_atomically(folder / "table.json", json.dumps(table.values, indent=1, allow_nan=False) + "\n")
        write_atomically(table.page, arms_page(head, arms))
    except (OSError, ValueError) as error:
        raise UserError(f"the table of {folder} cannot be made: {error}") from error
    return table


def _arm_runs(arm: str, experiment: Experiment, runs: Sequence[ArmRun]) -> ArmRuns:
    own = [run for run in runs if run.arm == arm]
    baseline = next(run for run in runs if run.arm == experiment.baseline)
    return ArmRuns(
        arm=arm,
        runs={run.config.seed: run.path for run in own if run.done},
        seeds=tuple(run.config.seed for run in own),
        own_start=own[0].model != baseline.model,
    )
