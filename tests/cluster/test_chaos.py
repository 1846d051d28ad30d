"""Chaos ends only what is its own, does the same for a seed, and a run that it has treated is whole."""

import json
import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import psutil
import pytest

from cluster.chaos import ChaosRun, Plan, chaos
from cluster.faults import FILE, FaultLog, read_faults
from cluster.victims import DRIVER, ROLES, SANDBOX, processes_of, segments, unowned
from configs.errors import UserError
from verifier.sandbox.host import BOOT

PROJECT = Path(__file__).resolve().parents[2]
LEAVES_AN_ORPHAN = """
import subprocess
from cluster.victims import adopt_orphans, left_behind
adopt_orphans()
subprocess.run(["sh", "-c", "setsid sleep 321 & setsid sleep 0.2 &"], check=True)
print(left_behind(grace_s=1.5), left_behind(grace_s=0.0))
"""


def plan(seed: int, roles: tuple[str, ...] = ROLES, kills: int = 0) -> Plan:
    return Plan(minutes=1.0, seed=seed, roles=roles, every_s=1.0, kills=kills)


def struck(seed: int, tmp_path: Path) -> list[str]:
    return list(islice(ChaosRun(["train"], tmp_path / "run", tmp_path, plan(seed))._roles, 2 * len(ROLES)))


def test_every_role_comes_once_a_round_and_the_order_is_the_seed_s(tmp_path: Path) -> None:
    roles = struck(1, tmp_path)
    assert set(roles[: len(ROLES)]) == set(roles[len(ROLES) :]) == set(ROLES)
    assert roles == struck(1, tmp_path)
    assert roles != struck(2, tmp_path)


@pytest.mark.slow
def test_what_an_ended_driver_leaves_is_found_told_and_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_AN_ORPHAN], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "['sleep 321'] []"


def test_roles_are_found_below_the_driver_only(tmp_path: Path) -> None:
    title = "ray::GeneratorActor"
    driver = subprocess.Popen(["bash", "-c", f"(exec -a {title} sleep 60) & echo; wait"], stdout=subprocess.PIPE)
    other = subprocess.Popen(["bash", "-c", f"exec -a {title} sleep 60"])
    try:
        assert driver.stdout is not None
        driver.stdout.readline()
        below = psutil.Process(driver.pid)
        found: list[psutil.Process] = []
        while not found:  # until the child has its title
            found = processes_of("generator", below)
        assert [process.ppid() for process in found] == [driver.pid]
        assert processes_of("learner", below) == []
        assert processes_of(DRIVER, below) == [below]
    finally:
        for process in (*psutil.Process(driver.pid).children(), other, driver):
            process.send_signal(signal.SIGKILL)
        for child in (driver, other):
            child.wait()


def test_a_sandbox_server_is_found_however_long_the_path_of_python_is(tmp_path: Path) -> None:
    long = tmp_path / ("folder" * 30)
    long.mkdir()
    (long / "python").symlink_to(sys.executable)
    driver = subprocess.Popen([long / "python", "-c", "input()", BOOT], stdin=subprocess.PIPE)
    try:
        assert processes_of(SANDBOX, psutil.Process()) == [psutil.Process(driver.pid)]
    finally:
        driver.communicate(b"\n", timeout=30)


def test_a_segment_that_a_living_process_has_open_is_not_left_behind() -> None:
    path = Path(f"/dev/shm/azr-test-{os.getpid()}")
    with path.open("wb"):
        assert path.name in segments()
        assert unowned([path.name]) == []
    assert unowned([path.name, "never-there"]) == [path.name]
    path.unlink()


def test_losses_are_warned_of_and_outlive_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    from actors.mending import Fault

    warned: list[str] = []
    tell = FaultLog(tmp_path, warned.append)
    tell(Fault(who=("azr-buffers",), line="azr-buffers died"))
    tell(Fault(who=("azr-buffers",), line="azr-buffers is back", seconds=2.5))
    with (tmp_path / FILE).open("a") as file:
        file.write('{"time": 17')
    assert warned == ["azr-buffers died", "azr-buffers is back"]
    assert [(fault["who"], fault["seconds"]) for fault in read_faults(tmp_path)] == [
        (["azr-buffers"], None),
        (["azr-buffers"], 2.5),
    ]
    assert list(read_faults(tmp_path / "none")) == []
    # The run that goes on after the kill writes behind the torn line.
    FaultLog(tmp_path, warned.append)(Fault(who=("azr-verifier",), line="azr-verifier died"))
    assert [fault["line"] for fault in read_faults(tmp_path)] == [*warned[:2], "azr-verifier died"]


def test_what_is_no_run_to_compare_with_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    against = Plan(minutes=1.0, seed=0, roles=ROLES, every_s=1.0, kills=0, against=tmp_path / "none")
    with pytest.raises(UserError, match=rf"--against must be a run directory, got {tmp_path}/none"):
        chaos("smoke", [], against, as_json=False)


@pytest.mark.slow
@pytest.mark.parametrize(("staleness", "roles"), [(0, "generator,learner,buffers"), (2, "driver")])
def test_a_run_whose_processes_are_killed_comes_to_its_end_with_nothing_lost_or_left(
    staleness: int, roles: str, tmp_path: Path
) -> None:
    """Every part real but vLLM, which takes long to start."""
    light = ("generators.engine=transformers", "telemetry.wandb=disabled", "run.steps=8", "evaluation.every=8")
    where = (f"run.root={tmp_path}", f"model.stand_in.cache={tmp_path / 'cache'}", f"pipeline.staleness={staleness}")
    kills = len(roles.split(","))
    options = ("--kills", str(kills), "--roles", roles, "--every", "1", "--minutes", "10", "--seed", str(staleness), "--json")
    done = subprocess.run(
        [sys.executable, "-m", "cluster.cli", "chaos", "smoke", *light, *where, *options],
        cwd=PROJECT, capture_output=True, text=True, timeout=880, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert (verdict["steps"], verdict["finished"]) == (8, True)
    assert (verdict["lost"], verdict["duplicated"], verdict["orphans"]) == (0, 0, 0)
    assert sum(verdict["kills"].values()) > 0
    assert verdict["given_up"] == 0
