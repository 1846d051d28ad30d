"""`azr sweep` with a stand-in for `azr train`, and once for real: killed in the middle it comes to the same table."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster import cli, sweep
from configs.errors import ConfigError
from telemetry.runs import list_runs

TIMEOUT_S = 480.0
TRIAL = """
base: smoke
question: Does it work?
seeds: [0, 1]
token_budget: 100
baseline: one
overrides:
  model.stand_in.cache: {folder}/cache
arms:
  one: {{}}
  two:
    solver.attempts: 5
"""
# Writes the run directory that `azr train` would leave; an arm named `bad` fails, and one that begins goes into `begun`.
TRAINER = """
import json, sys
from pathlib import Path
from cluster.run_directory import open_run
from configs.loader import load_config
from telemetry.status import RunStatus, write_status

folder, what, base, *overrides = sys.argv[1:]
config = load_config(base, [word for word in overrides if "=" in word])
with (Path(folder) / "begun").open("a") as begun:
    begun.write(f"{what} {config.run.name} {config.solver.attempts}\\n")
if (Path(folder) / f"{what}-fails-{config.run.name}").exists():
    sys.exit("error: it is broken")
if what == "warm-start":
    sys.exit()
with open_run(config, sys.argv) as run:
    files = run.path / "telemetry"
    files.mkdir()
    right = [config.seed < 5, config.solver.attempts == 5]
    row = {"suite": "deduction", "item": 0, "prompt": "1 + 1 ="}
    rows = [{**row, "global_step": step, "right": right[step]} for step in (0, 1)]
    (files / "evals.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
    line = {"phase": "self_play", "version": 0}
    lines = [{**line, "global_step": step, "step": step, "scalars": {"tokens/total": 100.0 * step}} for step in (0, 1)]
    (files / "steps.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
    write_status(run.path, RunStatus(status="finished", step=1, tokens=100))
"""

Told = tuple[int, str, str]
Sweep = Callable[..., Told]


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sweep:
    """`trial("--jobs", "2")` sweeps TRIAL in tmp_path with the trainer above: exit code, stdout, stderr."""
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "trial.yaml").write_text(TRIAL.format(folder=tmp_path))

    def command(what: str, base: str, overrides: tuple[str, ...], address: str) -> tuple[str, ...]:
        return (sys.executable, str(tmp_path / "trainer.py"), str(tmp_path), what, base, *overrides)

    monkeypatch.setattr(sweep, "_command", command)

    def run(*options: str) -> Told:
        code = cli.run(["sweep", str(tmp_path / "trial.yaml"), "--root", str(tmp_path / "runs"), *options])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def begun(folder: Path) -> list[str]:
    file = folder / "begun"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.slow
def test_the_model_is_made_once_then_every_run_is_made_and_the_table_is_written(trial: Sweep, tmp_path: Path) -> None:
    code, out, err = trial("--json", "--jobs", "2")
    assert (code, err) == (0, "")
    assert begun(tmp_path)[0].startswith("warm-start")
    assert sorted(begun(tmp_path)[1:]) == ["train one-s0 4", "train one-s1 4", "train two-s0 5", "train two-s1 5"]
    folder = tmp_path / "runs" / "trial"
    values = json.loads(out.splitlines()[-1])
    assert values == json.loads((folder / "table.json").read_text())
    assert values["arms"]["two"]["suites"]["deduction"]["difference"]["mean"] == 1.0
    assert (folder / "table.md").read_text() in out
    assert "2 of 2" not in out
    assert "4 of 4 runs" in (folder / "experiment.html").read_text()
    assert (folder / "experiment.yaml").read_text() == (tmp_path / "trial.yaml").read_text()


@pytest.mark.slow
def test_the_same_command_again_runs_nothing_and_writes_the_same_table(trial: Sweep, tmp_path: Path) -> None:
    first = trial("--json")[1].splitlines()[-1]
    before = begun(tmp_path)
    code, out, _ = trial("--json")
    assert code == 0
    assert "4 runs, 4 of them finished" in out
    assert out.splitlines()[-1] == first
    assert begun(tmp_path) == before


@pytest.mark.slow
def test_one_that_fails_is_a_line_with_its_log_and_stops_no_other(trial: Sweep, tmp_path: Path) -> None:
    (tmp_path / "train-fails-one-s0").touch()
    code, out, _ = trial()
    log = tmp_path / "runs" / "trial" / "one-s0.log"
    assert code == 1
    assert f"one-s0 failed with exit code 1: error: it is broken; log: {log}" in out
    assert len(begun(tmp_path)) == 5
    assert "| one | 1/2 |" in out
    (tmp_path / "train-fails-one-s0").unlink()
    code, out, _ = trial()
    assert code == 0
    assert begun(tmp_path)[5:] == ["warm-start one-s0 4", "train one-s0 4"], "the trainer's warm start leaves no model"
    assert "| one | 2/2 |" in out


def test_runs_whose_model_cannot_be_made_are_not_started(trial: Sweep, tmp_path: Path) -> None:
    (tmp_path / "warm-start-fails-one-s0").touch()
    code, out, _ = trial()
    assert code == 1
    assert len(begun(tmp_path)) == 1
    for name in ("one-s0", "two-s1"):
        assert f"{name} is not started: its model could not be made" in out


def test_a_model_that_is_there_is_not_made_again(trial: Sweep, tmp_path: Path) -> None:
    from cluster.arm_runs import plan_runs
    from cluster.experiment import load_experiment

    file = tmp_path / "trial.yaml"
    Path(plan_runs(file, load_experiment(file), tmp_path, (0,))[0].model).mkdir(parents=True)
    assert trial("--arms", "two", "--seeds", "1")[0] == 0
    assert begun(tmp_path) == ["train two-s1 5"]


@pytest.mark.slow
def test_seeds_and_arms_choose_what_runs_and_the_table_has_all(trial: Sweep, tmp_path: Path) -> None:
    code, out, _ = trial("--arms", "two", "--seeds", "1,7")
    assert code == 0
    assert begun(tmp_path)[1:] == ["train two-s1 5", "train two-s7 5"]
    assert "| one | 0/3 |" in out
    assert "| two | 2/3 |" in out


@pytest.mark.slow
def test_a_changed_experiment_is_refused_with_the_key_before_anything_starts(trial: Sweep, tmp_path: Path) -> None:
    trial()
    before, file = begun(tmp_path), tmp_path / "trial.yaml"
    file.write_text(file.read_text().replace("solver.attempts: 5", "solver.attempts: 6"))
    code, out, err = trial()
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "arm two" in err
    assert "solver.attempts: 5 -> 6" in err
    assert begun(tmp_path) == before


def test_table_only_starts_nothing(trial: Sweep, tmp_path: Path) -> None:
    code, out, _ = trial("--table-only")
    assert code == 0
    assert begun(tmp_path) == []
    assert "| one | 0/2 |" in out


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--seeds", "0,x"), "--seeds must be whole numbers"),
        (("--arms", "tow"), "did you mean two?"),
        (("--local", "--address", "http://127.0.0.1:1"), "--local must not come with --address"),
        (("--jobs", "0"), "--jobs"),
    ],
)
def test_options_that_cannot_be_are_one_line(trial: Sweep, options: tuple[str, ...], part: str, tmp_path: Path) -> None:
    code, out, err = trial(*options)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert part in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_leaderboard_knows_the_folder_and_lists_the_runs_in_it(trial: Sweep, tmp_path: Path) -> None:
    trial()
    assert [run.status for run in list_runs(tmp_path / "runs")] == ["a root of its own"]
    names = {run.run: run.status for run in list_runs(tmp_path / "runs" / "trial")}
    assert names == dict.fromkeys(("one-s0", "one-s1", "two-s0", "two-s1"), "finished")


def test_with_an_address_every_run_and_every_model_is_a_job(tmp_path: Path) -> None:
    command = sweep._command("submit", "smoke", ("seed=1",), "http://head:8265")
    assert command[1:] == ("-m", "cluster.cli", "submit", "smoke", "seed=1", "--address", "http://head:8265")


def test_without_a_readable_experiment_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="EXPERIMENT must be"):
        sweep.sweep("nowhere", sweep.How(root=tmp_path))


REAL = """
base: smoke
question: Does it survive?
seeds: [0]
token_budget: 1500
baseline: selfplay
overrides:
  telemetry.wandb: disabled
  model.stand_in.cache: {cache}
  run.checkpoint_every: 1
  evaluation.every: 100
  generators.engine: transformers
arms:
  selfplay: {{}}
  grpo:
    tasks_per_kind: 32
    mode: grpo
    dataset: arithmetic-100
    family.kinds: [deduction]
    learner.advantage: grpo
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "cluster.cli",
        "sweep",
        str(folder / "real.yaml"),
        "--root",
        str(folder / "runs"),
        "--local",
    ]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def finish(process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    assert process.wait(timeout=TIMEOUT_S) == 0, (folder / "log").read_text()[-4000:]
    values: dict[str, Any] = json.loads((folder / "runs" / "real" / "table.json").read_text())
    for arm in values["arms"].values():
        assert arm.pop("seconds") > 0, "the only figure that the clock makes"
    return values


def runs_in(folder: Path) -> list[psutil.Process]:
    """Processes whose command line names the folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []):
            found.append(process)
    return found


@pytest.mark.slow
def test_a_sweep_killed_in_the_middle_goes_on_to_the_same_table(tmp_path: Path) -> None:
    for name in ("whole", "torn"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "real.yaml").write_text(REAL.format(cache=tmp_path / "cache"))
    torn = tmp_path / "torn"
    process = start(torn)
    checkpoint = torn / "runs" / "real" / "selfplay-s0" / "checkpoints" / "step-000001"
    deadline = time.monotonic() + TIMEOUT_S
    while not checkpoint.exists() and time.monotonic() < deadline:
        assert process.poll() is None, (torn / "log").read_text()[-4000:]
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    assert json.loads((checkpoint.parents[1] / "status.json").read_text())["status"] == "running"
    again = start(torn)  # at once: what the killed one ran must be gone, and its lock must not be in the way
    result = finish(again, torn)
    assert not (torn / "runs" / "real" / "selfplay-s0" / "lock").exists()
    assert not runs_in(torn)
    whole = tmp_path / "whole"
    assert finish(start(whole), whole) == result
    assert result["arms"]["selfplay"]["done"] == [0]
    assert result["arms"]["grpo"]["suites"]["deduction"]["difference"] is not None
