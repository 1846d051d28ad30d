"""Step-time ledger: which stage of a run took which share of its steps, and whether the parts are the whole.

    share(stage) = Σ seconds of the stage ÷ Σ seconds of the step, over the self-play steps
    residual     = 1 − Σ seconds of the stages ÷ seconds of the step, of one step; below 0 where stages overlap
    imbalance    = |Σ seconds of the stages ÷ seconds of the step + what the run calls unattributed − 1|, of one step

The residual is computed from the parts; the run's own `time/unattributed` has only to agree with it, which the imbalance says.
Reads the event file of a run, or plays a short one in one process, real in every part, with evaluations and checkpoints. Of an
asynchronous run these are the learner's stages. Does not measure: what happens before the first step.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.learner import commit, machine
from configs.errors import UserError
from telemetry.jsonl import STEPS, folder, read_lines
from telemetry.records import Phase

Scalars = Mapping[str, float]
PREFIX = "time/"
WHOLE, TOLD = "time/step", "time/unattributed"
RUN_TIMEOUT_S = 1800.0


def read_steps(run_dir: Path) -> list[tuple[int, Scalars]]:
    """Number and scalars of the self-play steps, in order. UserError where there are none."""
    lines = read_lines(folder(run_dir) / f"{STEPS}.jsonl")
    steps = [(line["step"], line["scalars"]) for line in lines if line["phase"] == Phase.SELF_PLAY and line["step"]]
    if not steps:
        raise UserError(f"{run_dir.absolute()} has no self-play steps; --run must name a run directory that has played some")
    return steps


def play(root: Path, steps: int, seed: int, overrides: Sequence[str]) -> Path:
    """A short run of the whole program in one process; its run directory, under `root`."""
    fixed = (
        f"run.root={root}",
        "run.name=ledger",
        f"run.steps={steps}",
        f"seed={seed}",
        f"model.stand_in.cache={root / 'cache'}",
    )
    command = [sys.executable, "-m", "cluster.train", "configs/smoke.yaml", "--local", *fixed, *overrides]
    subprocess.run(command, check=True, timeout=RUN_TIMEOUT_S, stdout=subprocess.DEVNULL)
    return root / "ledger"


def account(steps: Sequence[tuple[int, Scalars]]) -> dict[str, Any]:
    """Shares of all time by stage, largest first; residuals, imbalance and telemetry as shares of a step.

    Means of these are over steps: in all time a few evaluations would hide what the other steps leave unattributed.
    """
    names = sorted({name for _, told in steps for name in told if name.startswith(PREFIX)} - {WHOLE, TOLD})
    seconds = {name: sum(told.get(name, 0.0) for _, told in steps) for name in names}
    whole_s = sum(told[WHOLE] for _, told in steps)
    parts = {number: sum(told.get(name, 0.0) for name in names) / told[WHOLE] for number, told in steps}
    worst = max(parts, key=lambda number: abs(1 - parts[number]))
    imbalances = [abs(parts[number] + told[TOLD] - 1) for number, told in steps]
    shares = {name.removeprefix(PREFIX): seconds[name] / whole_s for name in sorted(names, key=lambda name: -seconds[name])}
    return {
        "shares": {name: round(share, 6) for name, share in shares.items()},
        "residual": round(1 - sum(shares.values()), 6),
        "mean_residual": round(fmean(abs(1 - part) for part in parts.values()), 4),
        "largest_residual": round(1 - parts[worst], 4),
        "largest_residual_step": worst,
        "largest_imbalance": round(max(imbalances), 6),
        "mean_telemetry": round(fmean(told.get("time/telemetry", 0.0) / told[WHOLE] for _, told in steps), 4),
        "num_steps": len(steps),
    }


def text(found: Mapping[str, Any]) -> str:
    lines = [f"{name:>12}  {share:7.2%}" for name, share in found["shares"].items()]
    lines.append(f"{'residual':>12}  {found['residual']:7.2%}")
    lines.append(f"{'sum':>12}  {sum(found['shares'].values()) + found['residual']:7.2%} of {found['num_steps']} steps")
    lines.append(
        f"residual of a step: mean {found['mean_residual']:.2%}, largest {found['largest_residual']:.2%} "
        f"(step {found['largest_residual_step']}); the run's own word is at most {found['largest_imbalance']:.4%} off"
    )
    lines.append(f"telemetry of a step: mean {found['mean_telemetry']:.2%}")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON only")
    parser.add_argument("--run", type=Path, help="an existing run directory; without it a short run is played")
    parser.add_argument("--seed", type=int, default=0, help="of the run that is played")
    parser.add_argument("--steps", type=int, default=20, help="of the run that is played")
    parser.add_argument("overrides", nargs="*", help="of its configuration, as in tasks_per_kind=16")
    options = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as root:
            run = options.run or play(Path(root), options.steps, options.seed, options.overrides)
            found = account(read_steps(run))
    except UserError as error:
        sys.exit(f"error: {error}")
    if not options.json:
        sys.stdout.write(text(found))
    provenance = {"machine": machine(), "commit": commit(), "run": str(options.run or f"played, seed {options.seed}")}
    sys.stdout.write(json.dumps({**found, **provenance}) + "\n")


if __name__ == "__main__":
    main()
