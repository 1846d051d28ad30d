"""What telemetry costs a run, with W&B recorded, switched off and blocked: whole runs, real in every part, side by side.

    share     = Σ seconds that the loop gave to telemetry ÷ Σ seconds of the steps, evaluations included
    step      = Σ over the steps of the fastest round's seconds ÷ the same of the arm `disabled`: also sees what W&B's own
                process takes of the cores. A step is the same work in every arm and round: the fastest is the least disturbed
    whole run = wall seconds from the command to its end ÷ the same of `disabled`: also sees the start and the end

The arms: W&B `disabled`; `offline`, the default; `refused`, online to a port where nobody listens; `silent`, online to a server
that takes connections and never answers. Rounds take the arms in turn, so that a slow minute meets all of them. Does not
measure: a server that goes away in the middle (the test of `telemetry/wandb_sink.py` does), a server that answers.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.learner import commit, machine
from benchmarks.ledger import read_steps

ARMS = ("disabled", "offline", "refused", "silent")
CLOSED_PORT = 9  # discard: nobody listens there
SKIPPED = 2  # first steps, in which engines are still compiling and caches filling
RUN_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Played:
    """One run: seconds of each counted step, seconds of it in telemetry, and of the command from its start to its end."""

    step_s: tuple[float, ...]
    telemetry_s: tuple[float, ...]
    wall_s: float


def play(arm: str, root: Path, name: str, steps: int, server: str, overrides: Sequence[str]) -> Played:
    """The whole program with W&B as the arm has it. Raises CalledProcessError where the run fails, which no arm may."""
    mode = arm if arm in ("disabled", "offline") else "online"
    fixed = (f"run.root={root}", f"run.name={name}", f"run.steps={steps}", f"telemetry.wandb={mode}", "cluster.address=local")
    command = [sys.executable, "-m", "cluster.train", "configs/smoke.yaml", *fixed, f"model.stand_in.cache={root / 'cache'}"]
    # A home of its own, for every arm: no one's login, and the same caches. A key of the right form: with none W&B would give
    # up before it asks the server.
    login = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": server} if mode == "online" else {}
    environment = {**os.environ, "HOME": str(root), **login}
    begun = time.monotonic()
    subprocess.run([*command, *overrides], check=True, timeout=RUN_TIMEOUT_S, stdout=subprocess.DEVNULL, env=environment)
    wall_s = time.monotonic() - begun
    told = [scalars for _, scalars in read_steps(root / name)][SKIPPED:]
    return Played(tuple(one["time/step"] for one in told), tuple(one.get("time/telemetry", 0.0) for one in told), wall_s)


def compare(played: Mapping[str, Sequence[Played]]) -> dict[str, dict[str, float]]:
    """Per arm, over its rounds; `step` and `whole_run` are ratios to `disabled`."""
    step_s = {arm: sum(map(min, zip(*(run.step_s for run in runs), strict=True))) for arm, runs in played.items()}
    wall_s = {arm: median(run.wall_s for run in runs) for arm, runs in played.items()}
    share = {
        arm: sum(sum(run.telemetry_s) for run in runs) / sum(sum(run.step_s) for run in runs) for arm, runs in played.items()
    }
    return {
        arm: {
            "share": round(share[arm], 4),
            "step": round(step_s[arm] / step_s["disabled"], 3),
            "whole_run": round(wall_s[arm] / wall_s["disabled"], 3),
        }
        for arm in played
    }


def play_all(root: Path, rounds: int, steps: int, overrides: Sequence[str]) -> dict[str, list[Played]]:
    play("disabled", root, "first", SKIPPED + 1, "", overrides)  # makes the warm start that all arms share
    played: dict[str, list[Played]] = {arm: [] for arm in ARMS}
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        servers = {"refused": CLOSED_PORT, "silent": silent.getsockname()[1]}
        for number in range(rounds):
            for arm in ARMS:
                server = f"http://127.0.0.1:{servers.get(arm, CLOSED_PORT)}"
                played[arm].append(play(arm, root, f"{arm}-{number}", steps, server, overrides))
    return played


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON only")
    parser.add_argument("--steps", type=int, default=12, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each arm")
    parser.add_argument("overrides", nargs="*", help="of the runs' configuration, as in tasks_per_kind=16")
    options = parser.parse_args(argv)
    if options.steps <= SKIPPED:
        parser.error(f"--steps must be over {SKIPPED}, got {options.steps}: the first {SKIPPED} are not counted")
    with tempfile.TemporaryDirectory() as folder:
        figures = compare(play_all(Path(folder), options.rounds, options.steps, options.overrides))
    if not options.json:
        sys.stdout.write(f"{'':>10}  {'share':>8}  {'step':>7}  whole run\n")
        for arm, told in figures.items():
            sys.stdout.write(f"{arm:>10}  {told['share']:8.2%}  ×{told['step']:.3f}  ×{told['whole_run']:.3f}\n")
    provenance = {"machine": machine(), "commit": commit(), "steps": options.steps, "rounds": options.rounds}
    sys.stdout.write(json.dumps({**figures, **provenance}) + "\n")


if __name__ == "__main__":
    main()
