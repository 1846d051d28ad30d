"""`azr scale` on runs that go on, with every part real: generators come and go, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 900.0
COMMAND = [sys.executable, "-m", "cluster.cli"]
# Logical CPUs: room for three generators on a machine of any size.
ROOM = ("generators.cpus=0.1", "learner.cpus=0.1", "verifiers.cpus=0.1", "cluster.object_store_mib=128")
Start = Callable[..., "subprocess.Popen[bytes]"]

pytestmark = pytest.mark.slow


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}


def azr(*arguments: str) -> dict[str, Any]:
    """The JSON of a command that must succeed."""
    done = subprocess.run(
        [*COMMAND, *arguments, "--json"], cwd=PROJECT, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Start]:
    """Starts `azr train` beside the test; what still goes on at its end is ended."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(*settings: str) -> "subprocess.Popen[bytes]":
        where = (f"run.root={tmp_path}", f"model.stand_in.cache={tmp_path / 'cache'}", "cluster.address=local")
        command = [*COMMAND, "train", "configs/smoke.yaml", *where, "telemetry.wandb=disabled", *ROOM, *settings]
        with (tmp_path / "log").open("ab") as log:
            begun.append(subprocess.Popen(command, cwd=PROJECT, env=environment(), stdout=log, stderr=log))
        return begun[-1]

    yield start
    for one in begun:
        if one.poll() is None:
            one.send_signal(signal.SIGTERM)
            try:
                one.wait(120)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


def steps(run: Path) -> list[dict[str, Any]]:
    """Of self-play, so far."""
    file = run / "telemetry" / "steps.jsonl"
    whole = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")] if file.is_file() else []
    lines = [json.loads(line) for line in whole]
    return [line for line in lines if line["phase"] == "self_play" and line["step"]]


def after(run: Path, more: int, running: "subprocess.Popen[bytes]") -> int:
    """How many steps there are once there are so many more than now."""
    there, deadline = len(steps(run)), time.monotonic() + TIMEOUT_S
    while len(steps(run)) < there + more:
        assert running.poll() is None, (run.parent / "log").read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return len(steps(run))


def stopped(running: "subprocess.Popen[bytes]") -> None:
    running.send_signal(signal.SIGTERM)
    running.wait(240)


def test_scaling_from_one_to_three_and_back_loses_nothing_and_holds_for_a_resume(train: Start, tmp_path: Path) -> None:
    run, settings = tmp_path / "smoke-s0", ("generators.engine=transformers", "pipeline.staleness=2", "evaluation.every=100000")
    running = train(*settings, "run.steps=100000")
    after(run, 2, running)
    more = azr("scale", "3", str(run))
    assert (more["state"], more["serving"]) == ("done", 3)
    assert sum(" serves version " in line for line in more["lines"]) == 2
    after(run, 4, running)
    assert steps(run)[-1]["scalars"].items() >= {"generators/alive": 3.0}.items()
    fewer = azr("scale", "1", str(run))
    assert (fewer["state"], fewer["serving"]) == ("done", 1)
    after(run, 2, running)
    assert steps(run)[-1]["scalars"]["generators/alive"] == 1
    assert azr("scale", "2", str(run))["serving"] == 2
    stopped(running)

    done = max(int(path.name.removeprefix("step-")) for path in (run / "checkpoints").glob("step-*"))
    again = train(*settings, "generators.count=3", f"run.steps={done + 4}")
    assert again.wait(TIMEOUT_S) == 0, (tmp_path / "log").read_text()[-3000:]
    assert [line["step"] for line in steps(run)] == list(range(1, done + 5))
    assert {line["scalars"]["generators/alive"] for line in steps(run)[done:]} == {2}, "the order holds for a resume"
    audit = azr("audit", str(run))
    assert (audit["lost"], audit["duplicated"], audit["status"]) == (0, 0, "finished")
