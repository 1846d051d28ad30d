"""One live process at a time writes a run directory; a dead one's lock is taken over."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from cluster.run_lock import Holder, run_lock, this_process
from configs.errors import UserError


def held_by(run_dir: Path, holder: Holder) -> None:
    (run_dir / "lock").write_text(json.dumps(asdict(holder)))


def test_the_lock_is_there_while_held_and_gone_after(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text()) == asdict(this_process())
    assert not (tmp_path / "lock").exists()


def test_a_live_holder_is_named_and_keeps_its_lock(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\nfrom cluster.run_lock import run_lock\n"
        f"with run_lock(pathlib.Path({str(tmp_path)!r})):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=rf"process {other.pid} ") as caught, run_lock(tmp_path):
            pass
        assert len(str(caught.value).splitlines()) == 1
        assert json.loads((tmp_path / "lock").read_text())["pid"] == other.pid
        other.kill()
    with run_lock(tmp_path):  # killed without a last word: taken over
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_a_pid_that_was_given_to_another_program_does_not_hold(tmp_path: Path) -> None:
    held_by(tmp_path, Holder(host=socket.gethostname(), pid=os.getppid(), started=1.0))
    with run_lock(tmp_path):
        pass


def test_a_holder_on_another_machine_counts_as_alive(tmp_path: Path) -> None:
    held_by(tmp_path, Holder(host="elsewhere", pid=1, started=1.0))
    with pytest.raises(UserError, match="elsewhere"), run_lock(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 3}', "null"])
def test_a_lock_cut_off_while_being_written_is_taken_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    with run_lock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_of_many_starters_one_gets_the_lock(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\nfrom cluster.run_lock import run_lock\nfrom configs.errors import UserError\n"
        "sys.stdin.readline()\n"
        f"try:\n    with run_lock(pathlib.Path({str(tmp_path)!r})):\n"
        "        print('got', flush=True)\n        sys.stdin.readline()\n"
        "except UserError:\n    print('refused', flush=True)\n    sys.stdin.readline()"
    )
    others = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for other in others:
        assert other.stdin
        other.stdin.write("\n")
        other.stdin.flush()
    words = [other.stdout.readline().strip() for other in others if other.stdout]
    for other in others:
        other.communicate("\n", timeout=20)
    assert sorted(words) == ["got", "refused", "refused", "refused"]
