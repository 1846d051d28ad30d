"""What "flat" means, on samples made by hand, and that the processes of a command are seen at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import memory
from benchmarks.memory import Samples, compare, label, main, text, watch

PAGE = 2**20


def process(name: str, early_mib: float, late_mib: float) -> Samples:
    """One that is sampled at step 50 to 59 and again at 290 to 299, with one odd sample in each."""
    taken = [(step, int(early_mib * PAGE), 7) for step in range(50, 60)] + [
        (step, int(late_mib * PAGE), 14) for step in range(290, 300)
    ]
    return Samples(name, [*taken[:10], (55, 10**12, 7), *taken[10:], (295, 1, 14)])


def test_growth_is_the_median_at_the_end_over_the_median_after_the_first_steps() -> None:
    found = compare({1: process("driver", 100, 104), 2: process("ray::A", 50, 50), 3: process("ray::A", 50, 60)}, 50, 300)
    assert found["largest_ratio"] == 1.2
    assert [one["resident"] for one in found["processes"]["ray::A"]] == [1.2, 1.0]
    assert found["processes"]["driver"] == [{"mib": 104.0, "resident": 1.04, "private": 2.0}]
    assert "×1.200" in text(found).splitlines()[1], "the one that grew most stands first"


def test_a_process_that_is_not_there_in_both_windows_is_told_and_not_compared() -> None:
    late, early = Samples("new", [(295, 5, 5)]), Samples("old", [(50, 5, 5)])
    found = compare({1: process("driver", 100, 100), 2: late, 3: early, 4: Samples("between", [(100, 5, 5)])}, 50, 300)
    assert (found["came"], found["went"]) == (["new"], ["old"])
    assert set(found["processes"]) == {"driver"}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["/usr/bin/python3.11", "-m", "cluster.train", "configs/smoke.yaml"], "cluster.train"),
        (["ray::LearnerActor.update"], "ray::LearnerActor"),
        (["ray::IDLE"], "ray::IDLE"),
        (["/x/ray/core/src/ray/raylet/raylet", "--raylet_socket_name=/tmp/r"], "raylet"),
        (["/x/bin/python3", "-u", "/x/ray/dashboard/dashboard.py", "--host=127.0.0.1"], "dashboard.py"),
        (["python3"], "python3"),
        ([], "?"),
    ],
)
def test_processes_are_named_so_that_a_person_knows_them(command: list[str], name: str) -> None:
    assert label(command) == name


def test_a_run_too_short_for_two_windows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--steps", "60"])
    assert "--steps must be at least --after + 20, got 60 and 50" in capsys.readouterr().err


@pytest.mark.slow
def test_children_are_sampled_and_a_command_that_fails_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "EVERY_S", 0.05)
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(%g)']); sys.exit(%d)"
    samples = watch(subprocess.Popen([sys.executable, "-c", child % (0.5, 0)]), tmp_path)
    assert len([one for one in samples.values() if len(one.taken) > 1]) == 2
    with pytest.raises(subprocess.CalledProcessError):
        watch(subprocess.Popen([sys.executable, "-c", child % (0, 3)]), tmp_path)
