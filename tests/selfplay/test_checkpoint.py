"""A checkpoint is whole or not there, whatever ends its writing or its removal."""

from pathlib import Path

import pytest

from selfplay.checkpoint import Checkpoints, RunState
from selfplay.loop import Parts


class FailingLearner:
    """Writes a little, then fails as torch does on a full disk."""

    def save(self, path: Path) -> None:
        (path / "model").write_bytes(b"half")
        raise RuntimeError("unexpected pos 64 vs 0")


def test_a_checkpoint_that_fails_leaves_nothing_behind(parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="unexpected pos"):
        Checkpoints(tmp_path, keep=1).save(RunState(step=3), FailingLearner(), parts.buffers)  # type: ignore[arg-type]
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_what_a_kill_left_half_removed_goes_with_the_next_removal(parts: Parts, tmp_path: Path) -> None:
    left = tmp_path / "checkpoints" / ".removed-step-000001"
    left.mkdir(parents=True)
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in (2, 3):
        checkpoints.save(RunState(step=step), parts.learner, parts.buffers)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000003"]
