"""A run as a Ray job: what travels with it, and one real job on a real head that ends in SUCCEEDED."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cluster.arm_runs import plan_runs
from cluster.experiment import load_experiment
from cluster.launch import free_port
from cluster.submit import entrypoint, environment, path_in_project, run_metadata
from configs.errors import ConfigError
from configs.loader import load_config

PROJECT = Path(__file__).parent.parent.parent
START_TIMEOUT_S = 90.0
JOB_TIMEOUT_S = 480.0


def test_only_the_allow_list_travels() -> None:
    carried = environment({"WANDB_API_KEY": "k", "HF_TOKEN": "t", "AZR_X": "1", "AWS_SECRET_ACCESS_KEY": "s", "PATH": "/bin"})
    assert {name: carried[name] for name in ("WANDB_API_KEY", "HF_TOKEN", "AZR_X")} == {
        "WANDB_API_KEY": "k",
        "HF_TOKEN": "t",
        "AZR_X": "1",
    }
    assert set(carried) == {"WANDB_API_KEY", "HF_TOKEN", "AZR_X", "AZR_COMMIT", "AZR_PROJECT"}


def test_the_entrypoint_quotes_what_a_shell_would_read() -> None:
    assert entrypoint("configs/smoke.yaml", ["run.notes=a b; rm -rf $HOME"]) == (
        "python -m cluster.train configs/smoke.yaml 'run.notes=a b; rm -rf $HOME'"
    )


def test_a_config_outside_the_project_cannot_travel(tmp_path: Path) -> None:
    assert path_in_project("smoke") == "configs/smoke.yaml"
    (tmp_path / "mine.yaml").write_text("seed: 1\n")
    with pytest.raises(ConfigError, match="must lie in the project"):
        path_in_project(str(tmp_path / "mine.yaml"))


def test_metadata_tells_run_and_seed() -> None:
    assert run_metadata(load_config("smoke", ["seed=4"])) == {"run": "smoke-s4", "seed": "4", "model": "stand-in"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    url: str
    env: dict[str, str]


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    """`ray start --head` as a child with its own ports and token; ended by pid."""
    token = secrets.token_hex(32)
    python = Path(sys.executable)
    env = {
        **os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }  # fmt: skip
    env.pop("RAY_ADDRESS", None)
    dashboard, temp = free_port(), Path(f"/tmp/azr-{secrets.token_hex(3)}")  # short: Ray puts sockets under it
    command = [
        str(python.parent / "ray"), "start", "--head", "--block", "--num-cpus", "4", "--dashboard-host", "127.0.0.1",
        "--include-dashboard", "true", "--dashboard-port", str(dashboard), "--port", str(free_port()),
        "--dashboard-agent-listen-port", str(free_port()), "--object-store-memory", "200000000", "--temp-dir", str(temp),
    ]  # fmt: skip
    with (tmp_path / "head.log").open("w") as log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as process:
        try:
            _wait_for_dashboard(f"http://127.0.0.1:{dashboard}", token, process)
            yield Head(url=f"http://127.0.0.1:{dashboard}", env=env)
        finally:
            family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
            process.terminate()
            process.wait(timeout=60)
            _end(family)
            subprocess.run(["rm", "-rf", str(temp)], check=False)


def _wait_for_dashboard(url: str, token: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "ray start ended"
        if _status(url, token) == 200:
            return
        time.sleep(0.5)
    raise AssertionError(f"no dashboard at {url} within {START_TIMEOUT_S} s")


def _status(url: str, token: str | None) -> int:
    request = urllib.request.Request(f"{url}/api/version", headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0


def _end(family: list[int]) -> None:
    left = [psutil.Process(pid) for pid in family if psutil.pid_exists(pid)]
    _, staying = psutil.wait_procs(left, timeout=20)
    for process in staying:
        process.kill()


def _run(head: Head, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, env={**head.env, "RAY_API_SERVER_ADDRESS": head.url}, cwd=PROJECT, capture_output=True, text=True,
        timeout=JOB_TIMEOUT_S, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_job_on_a_running_cluster_succeeds_with_dashboard_and_logs(head: Head, tmp_path: Path) -> None:
    """Plain `ray job submit`, then the same run again through `azr submit`: it is finished, says so and succeeds."""
    assert _status(head.url, None) == 401
    where = [f"run.root={tmp_path / 'runs'}", f"model.stand_in.cache={tmp_path / 'cache'}"]
    ray = str(Path(sys.executable).parent / "ray")
    train = ["python", "-m", "cluster.train", "configs/smoke.yaml", *where]
    done = _run(head, ray, "job", "submit", "--working-dir", ".", "--", *train)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in (done.stdout + done.stderr).lower()
    assert "report: " in done.stdout
    status = json.loads((tmp_path / "runs" / "smoke-s0" / "status.json").read_text())
    assert status["status"] == "finished"
    again = _run(head, sys.executable, "-m", "cluster.cli", "submit", "smoke", *where, "--address", head.url)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"is finished ({load_config('smoke').run.steps} steps)" in again.stdout
    assert "SUCCEEDED" in again.stdout


@pytest.mark.slow
def test_an_arm_runs_as_a_job_and_the_same_command_meanwhile_follows_that_job(head: Head, tmp_path: Path) -> None:
    where = {"model.stand_in.cache": str(tmp_path / "cache"), "evaluation.every": 100, "generators.engine": "transformers"}
    experiment = {"base": "smoke", "question": "?", "seeds": [3], "token_budget": 1500, "baseline": "one", "arms": {"one": {}}}
    file, log, arm_log = tmp_path / "trial.yaml", tmp_path / "log", tmp_path / "trial" / "one-s3.log"
    file.write_text(json.dumps({**experiment, "overrides": where}))
    sweep = [sys.executable, "-m", "cluster.cli", "sweep", str(file), "--root", str(tmp_path), "--address", head.url]
    [run] = plan_runs(file, load_experiment(file), tmp_path / "trial", (3,))
    with log.open("w") as output:
        process = subprocess.Popen(sweep, env=head.env, cwd=PROJECT, stdout=output, stderr=output)
    deadline = time.monotonic() + JOB_TIMEOUT_S
    while not (arm_log.exists() and "submitted to" in arm_log.read_text()) and time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    again = _run(head, sys.executable, "-m", "cluster.cli", "submit", run.base, *run.overrides)
    assert process.wait(timeout=JOB_TIMEOUT_S) == 0, log.read_text() + arm_log.read_text()
    assert "runs this already" in again.stdout
    assert again.returncode == 0, again.stdout + again.stderr
    assert "| one | 1/1 |" in log.read_text()


@pytest.mark.slow
def test_a_job_that_fails_is_exit_1(head: Head, tmp_path: Path) -> None:
    where = [
        f"run.root={tmp_path / 'runs'}",
        "generators.cpus=500",
        "cluster.placement_timeout_s=3",
        "model.stand_in.warmup_steps=1",
    ]
    where.append(f"model.stand_in.cache={tmp_path / 'cache'}")
    done = _run(head, sys.executable, "-m", "cluster.cli", "submit", "smoke", *where, "--address", head.url)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "placement: " in done.stdout
    assert "CPU 501 needed" in done.stdout
