"""A checkpoint is whole or not there, whatever ends its writing or its removal."""

import json
from pathlib import Path

import pytest

from configs.errors import UserError
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


def test_a_state_of_a_version_that_kept_more_still_loads(parts: Parts, tmp_path: Path) -> None:
    state = RunState(step=2, baselines={"a": 0.5}, seeds={"deduction/all": [3, 1]})
    path = Checkpoints(tmp_path, keep=1).save(state, parts.learner, parts.buffers) / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracy": 0.5}))
    found = Checkpoints(tmp_path, keep=1).newest()
    assert found is not None
    assert found[1] == state


def test_a_state_that_is_no_mapping_is_named(parts: Parts, tmp_path: Path) -> None:
    path = Checkpoints(tmp_path, keep=1).save(RunState(step=2), parts.learner, parts.buffers) / "state.json"
    path.write_text("[2]")
    with pytest.raises(UserError, match="it must be a mapping, got list"):
        Checkpoints(tmp_path, keep=1).newest()


def test_what_a_kill_left_half_removed_goes_with_the_next_removal(parts: Parts, tmp_path: Path) -> None:
    left = tmp_path / "checkpoints" / ".removed-step-000001"
    left.mkdir(parents=True)
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in (2, 3):
        checkpoints.save(RunState(step=step), parts.learner, parts.buffers)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000003"]
