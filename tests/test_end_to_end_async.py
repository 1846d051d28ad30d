"""The asynchronous pipeline with every part real, from the command line to the replay of its event log."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 900.0

pytestmark = pytest.mark.slow


def azr(*arguments: str) -> str:
    """What the command says; it must succeed."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-m", "cluster.cli", *arguments], cwd=PROJECT, env=environment, capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def verdict(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(azr(*arguments, "--json").splitlines()[-1])
    return found


@pytest.mark.parametrize("swap", ["drain", "keep"])
def test_a_run_with_staleness_accounts_for_every_request_and_its_replay_gives_the_same_weights(
    swap: str, tmp_path: Path
) -> None:
    settings = ("pipeline.staleness=2", f"pipeline.swap={swap}", "run.steps=5", "telemetry.wandb=disabled")
    where = (f"run.root={tmp_path}", f"model.stand_in.cache={tmp_path / 'cache'}", "cluster.address=local")
    azr("train", "configs/smoke.yaml", *settings, *where)
    run = tmp_path / "smoke-s0"
    steps = [json.loads(line) for line in (run / "telemetry" / "steps.jsonl").read_text().splitlines()]
    played = [line["scalars"] for line in steps if line["phase"] == "self_play" and line["step"]]
    assert len(played) == 5
    for scalars in played:
        assert scalars["staleness/max"] <= 2
        places = ("running", "judged", "trained", "dropped")
        assert scalars["pipeline/submitted"] == sum(scalars[f"pipeline/{place}"] for place in places)
    audit = verdict("audit", str(run))
    assert (audit["lost"], audit["duplicated"]) == (0, 0)
    assert verdict("replay", str(run)) == {"from_step": 0, "equal": 5, "differs_at": None}
    checkpoint = min(path.name for path in (run / "checkpoints").glob("step-*") if path.name > "step-000000")
    replayed = verdict("replay", str(run), "--checkpoint", checkpoint)
    assert replayed["differs_at"] is None
    assert replayed["equal"] == 5 - int(checkpoint.removeprefix("step-"))
