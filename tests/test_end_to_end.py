"""The whole program with every part real: vLLM, DeepSpeed, Ray, W&B. If one of these fails, do not trust a curve."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.dashboard import PANELS
from telemetry.gauges import PREFIX, gauge
from telemetry.same_curve import first_difference
from telemetry.wandb_sink import NAMES
from tests.telemetry.wandb_files import read_session, sessions_of

PROJECT = Path(__file__).resolve().parents[1]
RUN_TIMEOUT_S = 480.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One warm start for all runs of this file; the first one makes it."""
    return tmp_path_factory.mktemp("cache")


def command(root: Path, cache: Path, *overrides: str) -> list[str]:
    fixed = (f"run.root={root}", f"model.stand_in.cache={cache}", "cluster.address=local")
    return [sys.executable, "-m", "cluster.train", "configs/smoke.yaml", *fixed, *overrides]


def start(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments, cwd=PROJECT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def finish(process: subprocess.Popen[bytes], log: Path) -> None:
    try:
        code = process.wait(timeout=RUN_TIMEOUT_S)
    finally:
        end_session(process.pid)
    assert code == 0, log.read_text(errors="replace")[-4000:]


def end_session(leader: int) -> None:
    """Ends what a failed run may have left: the processes of its own session, found by id."""
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.pid != leader:
                process.kill()
        except (psutil.Error, ProcessLookupError):
            continue


def survivors(leader: int) -> list[str]:
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            if os.getsid(process.pid) == leader:
                found.append(" ".join(process.info["cmdline"] or [])[:120])
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def steps(run: Path) -> list[dict[str, Any]]:
    lines = (run / "telemetry" / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """An uninterrupted run with one generator."""
    root = tmp_path_factory.mktemp("whole")
    process = start(command(root, cache), root / "log")
    finish(process, root / "log")
    assert not survivors(process.pid)
    return root / "smoke-s0"


def test_a_run_leaves_everything_that_a_user_looks_for(whole: Path) -> None:
    status = json.loads((whole / "status.json").read_text())
    assert status["status"] == "finished"
    assert (whole / "report.html").stat().st_size > 10_000
    lanes = {event["args"]["name"] for event in json.loads((whole / "trace.json").read_text()) if event["ph"] == "M"}
    assert {"smoke-s0", "steps", "stages", "azr-generator-0", "azr-learner-0"} <= lanes
    assert list((whole / "wandb").glob("offline-run-*/*.wandb"))
    assert {path.name for path in (whole / "checkpoints").iterdir()} >= {"step-000002", "step-000003"}
    clock = [line["global_step"] for line in steps(whole)]
    assert clock == sorted(set(clock))


def test_every_step_accounts_for_its_rollouts_its_time_and_its_mismatch(whole: Path) -> None:
    played = [line["scalars"] for line in steps(whole) if line["phase"] == "self_play" and line["step"] > 0]
    assert len(played) == 3
    for scalars in played:
        assert scalars["mismatch/max"] <= 1e-3
        assert scalars["time/unattributed"] <= 0.05
        rollouts = scalars["counts/proposed"] + scalars["counts/attempted"]
        assert scalars["counts/trained"] + scalars["counts/dropped"] == rollouts
        for kind in ("deduction", "abduction", "induction"):
            assert {f"reward/{kind}/solve", f"solve_rate/{kind}", f"valid/{kind}", f"buffer/{kind}"} <= scalars.keys()


def test_a_run_sets_every_gauge_of_the_dashboard(whole: Path) -> None:
    alarms = {"alarm"}  # each needs steps to go by, more than this run has
    others = {"global_step", "policy_version", "generators_alive", "generators_in_flight"}  # clocks, and of asynchronous runs
    told = {gauge(name, 0.0).name.removeprefix(PREFIX) for line in steps(whole) for name in line["scalars"]}
    assert {name for panel in PANELS for name in panel.gauges} - alarms - others <= told


def test_telemetry_takes_little_of_a_step(whole: Path) -> None:
    timed = [line["scalars"] for line in steps(whole) if line["phase"] == "self_play" and line["step"] > 0]
    assert sum(scalars["time/telemetry"] for scalars in timed) < 0.1 * sum(scalars["time/step"] for scalars in timed)


def test_the_last_checkpoint_is_a_hugging_face_model(whole: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = whole / "checkpoints" / "step-000003" / "model"
    text = "Calculate: 12 * 7 = "
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    logits = AutoModelForCausalLM.from_pretrained(path)(**tokenizer(text, return_tensors="pt")).logits
    assert logits.isfinite().all()


def test_two_generators_and_a_kill_in_the_middle_give_the_same_curve(whole: Path, cache: Path, tmp_path: Path) -> None:
    """The curve depends neither on how the requests are spread nor on kill -9 with the same command again."""
    log = tmp_path / "log"
    arguments = command(tmp_path, cache, "generators.count=2")
    process = start(arguments, log)
    kill_after_step(process, tmp_path / "smoke-s0", 2, log)
    wait_until_gone(process.pid)
    assert len(steps(tmp_path / "smoke-s0")) < len(steps(whole))
    process = start(arguments, log)
    finish(process, log)
    assert first_difference(tmp_path / "smoke-s0", whole) == ""
    assert audited(tmp_path / "smoke-s0") == audited(whole)
    assert_wandb_has_it_all(tmp_path / "smoke-s0")


def audited(run: Path) -> dict[str, Any]:
    """The run's balance, which must hold."""
    command = [sys.executable, "-m", "cluster.cli", "audit", str(run), "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    balance: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert balance["lost"] == balance["duplicated"] == balance["in_flight"] == 0
    assert balance["trained"] > 0
    return balance


def assert_wandb_has_it_all(run: Path) -> None:
    """One run id and one clock over the kill, each step once, each table under one name with all its rows."""
    status = json.loads((run / "status.json").read_text())
    sessions = sessions_of(run)
    files = [read_session(session) for session in sessions]
    assert len(files) == 2
    assert {file.run_id for file in files} <= {status["wandb_run_id"], ""}  # "" when nothing was written before the kill
    history = [row for file in files for row in file.history]
    assert [row["_step"] for row in history] == [line["global_step"] for line in steps(run)]
    assert all(row["global_step"] == row["_step"] for row in history)
    assert history[0]["warm_start/loss"] > 0, "W&B is there before the warm start"
    for name, table in NAMES.items():
        lines = [json.loads(line) for line in (run / "telemetry" / f"{name}.jsonl").read_text().splitlines()]
        logged = [row for file, session in zip(files, sessions, strict=True) for row in file.tables(table, session)]
        assert {row[0] for row in logged} == {line["step"] for line in lines}
        assert files[-1].summary[table]["nrows"] == len(logged)
    last = files[-1]
    assert last.config["seed"] == 0
    assert last.config["environment"]["packages"]["ray"]
    assert "commit" in last.config["git"]
    assert last.summary["status"] == "finished"
    assert any(name.startswith(f"tables-{status['wandb_run_id']}") for name in last.artifacts)


def kill_after_step(process: subprocess.Popen[bytes], run: Path, step: int, log: Path) -> None:
    deadline = time.monotonic() + RUN_TIMEOUT_S
    while not (run / "checkpoints" / f"step-{step:06d}").exists():
        assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        assert time.monotonic() < deadline, f"no checkpoint of step {step} after {RUN_TIMEOUT_S} s"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)


def wait_until_gone(leader: int, timeout_s: float = 60.0) -> None:
    """Ray's own reaper ends a killed driver's cluster."""
    deadline = time.monotonic() + timeout_s
    while survivors(leader) and time.monotonic() < deadline:
        time.sleep(0.5)
    end_session(leader)
