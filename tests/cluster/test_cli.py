"""The command line: exit codes, and one line on stderr for whatever goes wrong."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster import cli
from cluster.run_lock import run_lock
from configs.loader import load_config


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.run(argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["train", "smoke", "leraner.lr=1"], ["did you mean learner?"]),
        (["train", "learner.lr=-1"], ["learner.lr must be greater than 0"]),
        (["plan", "nowhere.yaml"], ["nowhere.yaml", "tiny-cpu"]),
        (["train", "smoke", "family.name=arithmetik"], ["arithmetik", "arithmetic"]),
        (["train", "smoke", "--local", "learner.device=gpu"], ["learner.device=gpu", "learner.device=cpu"]),
        (
            ["train", "smoke", "cluster.address=local", "generators.device=gpu"],
            ["generators.device=gpu", "generators.device=cpu"],
        ),
        (["train", "smoke", "cluster.address=ray://host:10001"], ["cluster.address", "azr submit"]),
        (["submit", "nowhere"], ["nowhere"]),
        (["eval", "smoke", "--engine", "vlm"], ["--engine", "vlm"]),
        (["bench", "generatr"], ["generatr"]),
        (["trian"], ["trian"]),
        (["train", "--lokal"], ["--lokal"]),
        (["eval"], ["checkpoint"]),
    ],
)
def test_a_command_that_cannot_be_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: list[str], parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    code, out, err = told(capsys, *argv)
    assert code == 2, err
    assert len(err.splitlines()) == 1
    assert out == ""
    for part in parts:
        assert part in err
    assert list(tmp_path.iterdir()) == []


def test_a_dashboard_port_in_use_is_named_before_anything_starts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = f"cluster.dashboard_port={taken.getsockname()[1]}"
        code, _, err = told(capsys, "train", "smoke", "cluster.address=local", port, f"run.root={tmp_path / 'runs'}")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert port.partition("=")[0] in err
    assert not (tmp_path / "runs").exists()


def test_an_unknown_model_is_named_before_anything_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("./no/such/model", "empty"):
        code, _, err = told(capsys, "train", "smoke", f"model.name_or_path={name}", f"run.root={tmp_path / 'runs'}")
        assert code == 2
        assert len(err.splitlines()) == 1
        assert name in err
        assert "model.name_or_path" in err
    assert not (tmp_path / "runs").exists()


def test_debug_shows_the_trace_wherever_it_stands_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--debug", "plan", "nowhere"], ["plan", "nowhere", "--debug"]):
        code, _, err = told(capsys, *argv)
        assert code == 2
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("error: ")


def test_an_unforeseen_exception_is_one_line_that_says_where_its_trace_lies(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug\nof two lines")

    monkeypatch.setattr("configs.loader.load_config", broken)
    code, _, err = told(capsys, "plan", "smoke")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert err.startswith("error: KeyError: ")
    log = Path(err.split("the traceback is in ")[1].split()[0])
    assert "a bug" in log.read_text()
    log.unlink()


def test_ctrl_c_is_one_line_and_exit_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("configs.loader.load_config", interrupted)
    code, _, err = told(capsys, "plan", "smoke")
    assert code == 130
    assert len(err.splitlines()) == 1
    assert err.startswith("interrupted")


@pytest.mark.parametrize("name", ["tiny-cpu", "smoke", "h100-qwen2-0.5b"])
def test_plan_explains_every_shipped_config(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, err = told(capsys, "plan", name, "--json")
    assert (code, err) == (0, "")
    plan = json.loads(out.splitlines()[-1])
    config = load_config(name)
    assert plan["rows_per_step"] == config.rows_per_step
    assert plan["actors"]["generators"] == config.generators.count
    assert "parameters" in out


def test_version_help_and_doctor_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--version")[:2] == (0, "absolute-zero-ray 0.1.0\n")
    code, out, _ = told(capsys, "--help")
    assert code == 0
    for command in ("train", "submit", "eval", "runs", "report", "plan", "doctor", "bench"):
        assert f"\n  {command} " in out
    code, out, _ = told(capsys, "doctor", "--json")
    report = json.loads(out.splitlines()[-1])
    assert code == (0 if report["ok"] else 1)
    assert {"python", "ray", "torch", "disk", "gpu"} <= {finding["check"] for finding in report["findings"]}


@pytest.mark.slow
def test_a_run_held_by_a_live_process_is_refused_with_exit_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run_dir = tmp_path / "smoke-s0"
    run_dir.mkdir()
    with run_lock(run_dir):
        code = subprocess.run(
            [sys.executable, "-m", "cluster.train", "smoke", f"run.root={tmp_path}", "--local"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert code.returncode == 1
    assert "is being written by process" in code.stderr
    assert [file.name for file in run_dir.iterdir()] == []


@pytest.mark.slow
def test_sigterm_in_the_middle_leaves_one_line_and_a_run_that_can_go_on(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "cluster.train", "smoke", "--local", f"run.root={tmp_path}",
        f"model.stand_in.cache={tmp_path / 'cache'}", "model.stand_in.warmup_steps=100000",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        steps = tmp_path / "smoke-s0" / "telemetry" / "steps.jsonl"
        deadline = time.monotonic() + 120
        while not (steps.exists() and steps.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("interrupted")
    assert "Traceback" not in err
    status = json.loads((tmp_path / "smoke-s0" / "status.json").read_text())
    assert status["status"] == "interrupted"
    assert not (tmp_path / "smoke-s0" / "lock").exists()
