import sys
import time
from pathlib import Path

import psutil
import pytest

from cluster.crew import Ended, Job, last_line, run_jobs


def job(folder: Path, name: str, script: str) -> Job:
    return Job(name=name, command=("sh", "-c", script), log=folder / "logs" / f"{name}.log")


def run(jobs: list[Job], at_once: int = 2) -> list[Ended]:
    return list(run_jobs(jobs, at_once, lambda _: None))


def test_one_that_fails_stops_no_other_and_each_has_its_own_log(tmp_path: Path) -> None:
    jobs = [job(tmp_path, "good", "echo fine"), job(tmp_path, "bad", "echo why >&2; echo; exit 4"), job(tmp_path, "mute", "")]
    ended = {one.job.name: one for one in run(jobs)}
    assert {name: one.code for name, one in ended.items()} == {"good": 0, "bad": 4, "mute": 0}
    assert [last_line(one.log) for one in jobs] == ["fine", "why", "it said nothing"]


def test_no_more_run_at_once_than_were_allowed(tmp_path: Path) -> None:
    """Each notes how many were there when it began."""
    script = f"mkdir {tmp_path}/in-$$; ls -d {tmp_path}/in-* | wc -l >> {tmp_path}/counts; sleep 0.2; rmdir {tmp_path}/in-$$"
    run([job(tmp_path, f"{number}", script) for number in range(5)], at_once=2)
    counts = [int(line) for line in (tmp_path / "counts").read_text().split()]
    assert len(counts) == 5
    assert max(counts) <= 2


def test_they_are_handed_out_as_they_end(tmp_path: Path) -> None:
    jobs = [job(tmp_path, "slow", "sleep 1"), job(tmp_path, "quick", "sleep 0.1")]
    assert [one.job.name for one in run(jobs)] == ["quick", "slow"]


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    for word in ("first", "second"):
        run([job(tmp_path, "same", f"echo {word}")])
    assert (tmp_path / "logs" / "same.log").read_text() == "first\nsecond\n"


def words_of(process: psutil.Process) -> list[str]:
    """None of one that has ended: another test's, which nobody has reaped yet."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_whoever_stops_listening_leaves_nothing_that_runs(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; exec {sys.executable} -c 'import time; time.sleep(1000)'"

    def interrupted(one: Job) -> None:
        if one.name == "second":
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs([job(tmp_path, "first", script), job(tmp_path, "second", "sleep 1000")], 2, interrupted))
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    assert not [child for child in psutil.Process().children(recursive=True) if "1000" in words_of(child)]
