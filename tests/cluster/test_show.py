"""`azr train --json` and `--quiet`, with every part real: nothing comes between the lines that a script reads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import cli

PROJECT = Path(__file__).resolve().parents[2]


def train(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    fixed = (f"run.root={root}", f"model.stand_in.cache={root / 'cache'}", "generators.engine=transformers", "--local")
    return subprocess.run(
        [sys.executable, "-m", "cluster.train", "smoke", *fixed, *arguments],
        cwd=PROJECT, capture_output=True, text=True, timeout=400, check=True,
    )  # fmt: skip


def test_quiet_and_json_at_once_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", "smoke", "--quiet", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "leave one out" in captured.err


@pytest.mark.slow
def test_json_says_each_step_and_the_run_and_quiet_says_one_line(tmp_path: Path) -> None:
    told = train(tmp_path, "--json", "run.steps=2")
    *steps, run = [json.loads(line) for line in told.stdout.splitlines()]
    recorded = (tmp_path / "smoke-s0" / "telemetry" / "steps.jsonl").read_text().splitlines()
    assert steps == [json.loads(line) for line in recorded]
    assert (run["run"], run["status"], run["seed"]) == ("smoke-s0", "finished", 0)
    assert {"initial", "final", "best", "seconds", "tokens", "buffers"} <= run.keys()
    assert "new run" in told.stderr

    told = train(tmp_path, "--quiet", "run.steps=3")
    [line] = told.stdout.splitlines()
    assert line.startswith(f"finished {tmp_path / 'smoke-s0'}: deduction ")
    assert "; buffers " in line
    assert line.endswith("report.html")
    assert not [words for words in told.stderr.splitlines() if not words.startswith(("warning: ", "alarm: "))]
