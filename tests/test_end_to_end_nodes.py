"""The loss of a whole node, with every part real: all actors of a run are on it, and come back on another."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from cluster.patience import patiently
from telemetry.jsonl import STEPS, folder, read_lines
from telemetry.records import Phase
from telemetry.same_curve import first_difference

PROJECT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 600.0
COMMAND = [sys.executable, "-m", "cluster.cli"]
Begin = Callable[[str], "subprocess.Popen[bytes]"]
ROOM = {"num_cpus": 2, "object_store_memory": 150 * 2**20}  # for all actors of the run

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(ray_home: Path) -> Iterator[Cluster]:
    """A head for the driver alone, and one node with room for the actors."""
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 150 * 2**20}
    made = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
    try:
        made.add_node(**ROOM)
        yield made
    finally:
        made.shutdown()


@pytest.fixture
def begin(cluster: Cluster, tmp_path: Path) -> Iterator[Begin]:
    """Starts a run of this name on the cluster, with its log beside it; what still goes on at the end is ended."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> "subprocess.Popen[bytes]":
        fixed = (f"run.root={tmp_path}", f"run.name={name}", f"cluster.address={cluster.address}")
        small = ("generators.engine=transformers", "telemetry.wandb=disabled", "run.steps=6", "evaluation.every=6")
        command = [*COMMAND, "train", "configs/smoke.yaml", *fixed, *small, f"model.stand_in.cache={tmp_path / 'cache'}"]
        environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        with (tmp_path / f"{name}.log").open("ab") as log:
            begun.append(subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.wait(60)


def finish(process: "subprocess.Popen[bytes]", log: Path) -> None:
    assert process.wait(TIMEOUT_S) == 0, log.read_text(errors="replace")[-4000:]


def after_step(process: "subprocess.Popen[bytes]", run: Path, step: int) -> None:
    deadline, file = time.monotonic() + TIMEOUT_S, folder(run) / f"{STEPS}.jsonl"
    while not any(line["phase"] == Phase.SELF_PLAY and line["step"] >= step for line in read_lines(file)):
        assert process.poll() is None, run.with_name(f"{run.name}.log").read_text(errors="replace")[-4000:]
        assert time.monotonic() < deadline, f"no step {step} after {TIMEOUT_S:g} s"
        time.sleep(0.1)


def balance(run: Path) -> dict[str, Any]:
    done = subprocess.run(
        [*COMMAND, "audit", str(run), "--json"], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_a_run_whose_only_node_of_actors_is_lost_goes_on_on_another_with_the_same_curve(
    cluster: Cluster, begin: Begin, tmp_path: Path
) -> None:
    finish(begin("whole"), tmp_path / "whole.log")
    running = begin("lost")
    after_step(running, tmp_path / "lost", 3)
    doomed = next(iter(cluster.worker_nodes))
    cluster.add_node(**ROOM)
    cluster.remove_node(doomed, allow_graceful=False)
    finish(running, tmp_path / "lost.log")
    back = [json.loads(line) for line in (tmp_path / "lost" / "faults.jsonl").read_text().splitlines()]
    assert {"azr-generator-0", "azr-learner-0", "azr-buffers"} <= {
        who for fault in back if fault["seconds"] for who in fault["who"]
    }
    assert first_difference(tmp_path / "whole", tmp_path / "lost") == ""
    found = balance(tmp_path / "lost")
    assert (found["status"], found["lost"], found["duplicated"]) == ("finished", 0, 0)
