"""A checkpoint is whole or not there, whatever ends its writing or its removal; writing it stops nobody."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from configs.errors import UserError
from selfplay.checkpoint import Checkpoints, RunState
from selfplay.loop import Parts

DEADLINE_S = 30.0


@dataclass
class FakeLearner:
    """Its snapshot is a function that writes."""

    write: Callable[[], None]

    def snapshot(self, path: Path) -> "FakeLearner":
        (path / "model").write_bytes(b"half")
        return self


def save(parts: Parts, run_dir: Path, state: RunState, learner: object = None, keep: int = 1) -> Path:
    checkpoints = Checkpoints(run_dir, keep=keep)
    checkpoints.save(state, learner or parts.learner, parts.buffers)  # type: ignore[arg-type]
    checkpoints.wait()
    return run_dir / "checkpoints" / f"step-{state.step:06d}"


def failing() -> None:
    raise RuntimeError("unexpected pos 64 vs 0")  # as torch says that a file was cut


def test_a_checkpoint_that_fails_leaves_nothing_behind(parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="unexpected pos"):
        save(parts, tmp_path, RunState(step=3), FakeLearner(failing))
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_what_goes_wrong_in_the_writer_is_raised_by_the_next_call_and_once(parts: Parts, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(RunState(step=1), FakeLearner(failing), parts.buffers)  # type: ignore[arg-type]
    checkpoints.close()  # waits, and leaves the error to whoever goes on
    with pytest.raises(RuntimeError, match="unexpected pos"):
        checkpoints.check()
    checkpoints.check()
    checkpoints.save(RunState(step=2), parts.learner, parts.buffers)
    checkpoints.wait()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000002"]


def test_the_run_goes_on_while_a_checkpoint_is_written_and_the_next_one_waits_for_it(parts: Parts, tmp_path: Path) -> None:
    release, begun = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert release.wait(DEADLINE_S)

    checkpoints = Checkpoints(tmp_path, keep=2, timeout_s=0.05)
    checkpoints.save(RunState(step=1), FakeLearner(slow), parts.buffers)  # type: ignore[arg-type]
    assert begun.wait(DEADLINE_S)
    checkpoints.check()
    assert not list((tmp_path / "checkpoints").glob("step-*"))
    with pytest.raises(UserError, match=r"step-000001 is still being written after 0\.05 s; .* raise run\.checkpoint_every"):
        checkpoints.save(RunState(step=2), parts.learner, parts.buffers)
    release.set()
    checkpoints._timeout_s = DEADLINE_S
    checkpoints.save(RunState(step=2), parts.learner, parts.buffers)
    checkpoints.wait()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000001", "step-000002"]


def test_a_checkpoint_holds_what_was_when_it_was_taken(parts: Parts, tmp_path: Path) -> None:
    release = threading.Event()

    class SlowSnapshot:
        def __init__(self, path: Path) -> None:
            self._weights = parts.learner.snapshot(path)

        def write(self) -> None:
            assert release.wait(DEADLINE_S)
            self._weights.write()

    class SlowLearner:
        def snapshot(self, path: Path) -> SlowSnapshot:
            return SlowSnapshot(path)

    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(RunState(step=1), SlowLearner(), parts.buffers)  # type: ignore[arg-type]
    parts.learner.update([], 1.0)
    release.set()
    checkpoints.wait()
    weight = tmp_path / "checkpoints" / "step-000001" / "trainer" / "weight.json"
    assert json.loads(weight.read_text()) == 0.0
    assert parts.learner.weight == 1.0  # type: ignore[attr-defined]


FULL_DISK = """
import resource, sys
from pathlib import Path
from learner.snapshot import Snapshot
from selfplay.checkpoint import Checkpoints, RunState
import torch
from configs.errors import UserError

class Small:
    def snapshot(self, path):
        return Snapshot(folder=path, states={path / "w.pt": torch.zeros(10)}, texts={}, write_model=None)

class Large(Small):
    def snapshot(self, path):
        return Snapshot(folder=path, states={path / "w.pt": torch.zeros(10**6)}, texts={}, write_model=None)

checkpoints = Checkpoints(Path(sys.argv[1]), keep=1)
checkpoints.save(RunState(step=1), Small(), Small())
checkpoints.wait()
resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, 2**19))
checkpoints.save(RunState(step=2), Large(), Small())
try:
    checkpoints.wait()
except UserError as error:
    print(error)
print(checkpoints.newest()[1].step)
"""


@pytest.mark.slow
def test_a_full_disk_is_one_line_with_the_remedy_and_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """The limit on the size of a file stands in for a disk without room: torch meets both in the same way."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True
    )
    message, step = done.stdout.splitlines()
    assert "cannot be written (File too large); free disk space" in message
    assert step == "1"
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]


def test_a_state_of_a_version_that_kept_more_still_loads(parts: Parts, tmp_path: Path) -> None:
    state = RunState(step=2, baselines={"a": 0.5}, seeds={"deduction/all": [3, 1]}, ledger=4)
    path = save(parts, tmp_path, state) / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracy": 0.5}))
    found = Checkpoints(tmp_path, keep=1).newest()
    assert found is not None
    assert found[1] == state


def test_a_state_that_is_no_mapping_is_named(parts: Parts, tmp_path: Path) -> None:
    path = save(parts, tmp_path, RunState(step=2)) / "state.json"
    path.write_text("[2]")
    with pytest.raises(UserError, match="it must be a mapping, got list"):
        Checkpoints(tmp_path, keep=1).newest()


def test_what_a_kill_left_half_written_or_half_removed_goes_with_the_next_one(parts: Parts, tmp_path: Path) -> None:
    for left in (".removed-step-000001", ".partial-step-000002"):
        (tmp_path / "checkpoints" / left / "trainer").mkdir(parents=True)
    for step in (2, 3):
        save(parts, tmp_path, RunState(step=step))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000003"]
