"""Checkpoints of a run: one directory each, which appears by atomic rename, so that whatever is listed is whole.

    checkpoints/step-000050/{model/, trainer/, buffers.json, state.json}

Keeps the newest few and the best one by held-out accuracy. Knows what is in `state.json`; the learner and the buffers
write their own parts.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from configs.errors import UserError
from selfplay.protocols import Buffers, Learner


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Where the loop stands: all of its own state between two steps."""

    step: int = 0
    global_step: int = 0
    version: int = 0
    tokens: int = 0
    best_step: int = 0
    best_accuracy: float = -1.0
    baselines: dict[str, float] = field(default_factory=dict)
    seeds: dict[str, list[int]] = field(default_factory=dict)  # of each kind/trait, how many seeds had each value


class Checkpoints:
    """The checkpoints of one run directory."""

    def __init__(self, run_dir: Path, keep: int) -> None:
        self._folder = run_dir / "checkpoints"
        self._keep = keep

    def save(self, state: RunState, learner: Learner, buffers: Buffers) -> Path:
        """Writes the checkpoint of `state.step`, then removes those that are no longer kept."""
        final = self._folder / f"step-{state.step:06d}"
        partial = self._folder / f".partial-{final.name}"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            learner.save(partial.absolute())
            buffers.save(partial.absolute() / "buffers.json")
            (partial / "state.json").write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
            for path in (*partial.rglob("*"), partial):
                _sync(path)
            if final.exists():
                shutil.rmtree(final)
            partial.rename(final)
            _sync(self._folder)
        except OSError as error:
            raise UserError(
                f"checkpoint {final} cannot be written ({error.strerror}); free disk space or change run.root, then run the "
                "same command again: it goes on from the checkpoint before"
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # what a failed one, whatever failed, holds of a full disk
        self._remove_old(state.best_step)
        return final

    def newest(self) -> tuple[Path, RunState] | None:
        """The newest checkpoint and its state, or None. Raises UserError for one that cannot be read."""
        found = self._listed()
        if not found:
            return None
        path = found[-1] / "state.json"
        try:
            return found[-1], _state(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"checkpoint state {path} cannot be read ({error}); delete {found[-1]}, the one before it is used"
            ) from error

    def _listed(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"))

    def _remove_old(self, best_step: int) -> None:
        for path in self._listed()[: -self._keep]:
            if path.name != f"step-{best_step:06d}":
                path.rename(path.with_name(f".removed-{path.name}"))  # a kill halfway leaves none that is listed in part
        for removed in self._folder.glob(".removed-*"):
            shutil.rmtree(removed)


def _state(data: Any) -> RunState:
    """Keys of other versions are passed over. TypeError for what is not a mapping."""
    if not isinstance(data, dict):
        raise TypeError(f"it must be a mapping, got {type(data).__name__}")
    return RunState(**{field.name: data[field.name] for field in fields(RunState) if field.name in data})


def _sync(path: Path) -> None:
    """A file's contents, or a folder's entries, are on disk after this."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
