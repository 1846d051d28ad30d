"""Checkpoints of a run: one directory each, which appears by atomic rename, so that whatever is listed is whole.

    save ──▶ snapshots in host memory ──▶ returns; the next step begins
                      └─ writer's thread ─▶ .partial-step-000050 ─rename─▶ step-000050 ─▶ old ones are removed

    checkpoints/step-000050/{model/, trainer/, buffers.json, state.json}

Keeps the newest few and the best one by held-out accuracy. At most one is being written: the next `save` waits for it,
with a deadline, and what went wrong in the writer's thread is raised by the next call from the loop. Knows what is in
`state.json`; the learner and the buffers take and write snapshots of their own parts.
"""

import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from buffers.ledger_files import FIRST
from configs.disk import sync, writing
from configs.errors import UserError
from selfplay.protocols import Buffers, Learner, Snapshot

GRACE_S = 60.0  # for the one that is being written when the run ends by an error


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
    ledger: int = FIRST  # the ledger's position


@runtime_checkable
class Follows(Protocol):
    """A snapshot whose part wants to know where it lies in the end."""

    def kept(self, partial: Path, final: Path) -> None:
        """What was written under `partial` is a whole checkpoint now, and lies under `final`."""


class Checkpoints:
    """The checkpoints of one run directory. `timeout_s`: how long the one before may take when the next is due."""

    def __init__(self, run_dir: Path, keep: int, timeout_s: float = 600.0) -> None:
        self._folder = run_dir / "checkpoints"
        self._keep = keep
        self._timeout_s = timeout_s
        self._writing: Future[None] | None = None
        self._final = Path()

    def save(self, state: RunState, learner: Learner, buffers: Buffers) -> None:
        """Begins the checkpoint of `state.step`; learner and buffers may change as soon as it returns."""
        self.wait()
        self._final = self._folder / f"step-{state.step:06d}"
        with self._whole() as partial:
            for left in self._folder.glob(".partial-*"):  # of a process that was killed
                shutil.rmtree(left)
            partial.mkdir(parents=True)
            snapshots = [learner.snapshot(partial.absolute()), buffers.snapshot(partial.absolute() / "buffers.json")]
        self._writing = Future()
        threading.Thread(target=self._run, args=(self._writing, state, snapshots), name="checkpoint", daemon=True).start()

    def check(self) -> None:
        """Raises what went wrong in the writer's thread, if it has ended; never waits."""
        if self._writing is not None and self._writing.done():
            done, self._writing = self._writing, None
            done.result()

    def wait(self) -> None:
        """Until nothing is being written. Raises what went wrong; UserError after the deadline."""
        if self._writing is not None:
            try:
                self._writing.exception(self._timeout_s)
            except FutureTimeoutError:
                raise UserError(
                    f"checkpoint {self._final} is still being written after {self._timeout_s:g} s; look for a slow or hanging "
                    "disk under run.root, raise run.checkpoint_every, or raise cluster.call_timeout_s"
                ) from None
            self.check()

    def close(self) -> None:
        """When the run ends by an error: gives the one that is being written a little time, and raises nothing."""
        if self._writing is not None:
            with suppress(FutureTimeoutError):
                self._writing.exception(min(GRACE_S, self._timeout_s))

    def newest(self) -> tuple[Path, RunState] | None:
        """The newest checkpoint and its state, or None. Raises UserError for one that cannot be read."""
        found = self._listed()
        if not found:
            return None
        return found[-1], read_state(found[-1])

    def _run(self, done: Future[None], state: RunState, snapshots: Sequence[Snapshot]) -> None:
        """The writer's thread."""
        try:
            self._write(state, snapshots)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the loop raises it
            done.set_exception(error)
        else:
            done.set_result(None)

    def _write(self, state: RunState, snapshots: Sequence[Snapshot]) -> None:
        with self._whole() as partial:
            for snapshot in snapshots:
                snapshot.write()
            (partial / "state.json").write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
            for path in (*partial.rglob("*"), partial):
                sync(path)
            if self._final.exists():
                shutil.rmtree(self._final)
            partial.rename(self._final)
            sync(self._folder)
            for snapshot in snapshots:
                if isinstance(snapshot, Follows):
                    snapshot.kept(partial, self._final)
            self._remove_old(state.best_step)

    @contextmanager
    def _whole(self) -> Iterator[Path]:
        """The folder that is renamed when it is whole; a failure removes it with what it holds of a full disk."""
        partial = self._folder / f".partial-{self._final.name}"
        try:
            with writing(f"checkpoint {self._final}", self._folder):
                yield partial
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _listed(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"))

    def _remove_old(self, best_step: int) -> None:
        for path in self._listed()[: -self._keep]:
            if path.name != f"step-{best_step:06d}":
                path.rename(path.with_name(f".removed-{path.name}"))  # a kill halfway leaves none that is listed in part
        for removed in self._folder.glob(".removed-*"):
            shutil.rmtree(removed)


def read_state(checkpoint: Path) -> RunState:
    """Raises UserError where it cannot be read."""
    path = checkpoint / "state.json"
    try:
        return _state(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"checkpoint state {path} cannot be read ({error}); delete {checkpoint}, the one before it is used"
        ) from error


def _state(data: Any) -> RunState:
    """Keys of other versions are passed over. TypeError for what is not a mapping."""
    if not isinstance(data, dict):
        raise TypeError(f"it must be a mapping, got {type(data).__name__}")
    return RunState(**{field.name: data[field.name] for field in fields(RunState) if field.name in data})
