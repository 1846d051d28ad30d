"""The event log: every update of a run with all that it was computed from, in the order in which it happened.

    RUN/events/events.jsonl              begun | trained: step, learning rate, ids, versions, rewards, weight fingerprint after
    RUN/events/batch-000012.json.gz      the proposals, attempts and rollouts of one update (token ids, behaviour logprobs)

Invariants: append-only; a batch's file is whole and named by its digest before its line appears; after `rewind` nothing lies
beyond the checkpoint from which the run goes on. A line torn by kill -9 can only be the last one, and is dropped. Survives
the end of the process; does not sync to disk at every step. Does not: interpret, or train (selfplay.pipeline.replay).
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from configs.errors import UserError
from selfplay.judge import Judged
from selfplay.propose import Proposed
from selfplay.shaping import Shaping
from selfplay.solve import Solved

BEGUN, TRAINED = "begun", "trained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that one update was computed from, beside the weights and the baselines before it."""

    step: int
    lr: float
    proposed: tuple[Proposed, ...]
    solved: tuple[Solved, ...]
    shaping: Shaping


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What the log says of one update; `begun` events have no file and no rewards."""

    event: str
    step: int
    fingerprint: str  # of the weights after it
    file: str = ""
    digest: str = ""
    rewards: tuple[float, ...] = ()  # proposals, then attempts task by task


_INPUTS = TypeAdapter(Inputs)


class EventLog:
    """The log of one run directory."""

    def __init__(self, run_dir: Path) -> None:
        self._folder = run_dir / "events"
        self._path = self._folder / "events.jsonl"

    def rewind(self, step: int) -> None:
        """Forgets what came after the checkpoint of `step`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = [line for line in self._lines() if line["step"] <= step]
        partial = self._path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        partial.replace(self._path)
        files = {line["file"] for line in kept if line.get("file")}
        for path in self._folder.glob("batch-*"):
            if path.name not in files:
                path.unlink()

    def begin(self, step: int, fingerprint: str) -> None:
        """A session begins at this step, with these weights."""
        self._append({"event": BEGUN, "step": step, "fingerprint": fingerprint})

    def append(self, inputs: Inputs, judged: Judged, fingerprint: str) -> None:
        """One update, after it was made."""
        data = gzip.compress(_INPUTS.dump_json(inputs), compresslevel=1, mtime=0)
        path = self._folder / f"batch-{inputs.step:06d}.json.gz"
        partial = path.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(path)
        line = {"event": TRAINED, "step": inputs.step, "fingerprint": fingerprint, "file": path.name, "digest": _digest(data)}
        rollouts = [item.rollout for item in (*judged.proposals, *judged.attempts)]
        line |= {
            "lr": inputs.lr,
            "ids": [rollout.attempt_id for rollout in rollouts],
            "versions": [[version for version, _ in rollout.versions] for rollout in rollouts],
            "rewards": [item.reward for item in (*judged.proposals, *judged.attempts)],
        }
        self._append(line)

    def events(self) -> list[Event]:
        """In order. Empty for a run without a log."""
        return [
            Event(
                event=line["event"],
                step=line["step"],
                fingerprint=line["fingerprint"],
                file=line.get("file", ""),
                digest=line.get("digest", ""),
                rewards=tuple(line.get("rewards", ())),
            )
            for line in self._lines()
        ]

    def inputs(self, event: Event) -> Inputs:
        """Raises UserError when the batch's file is gone or damaged."""
        path = self._folder / event.file
        try:
            data = path.read_bytes()
            if _digest(data) != event.digest:
                raise ValueError("its digest is not the one in events.jsonl")
            return _INPUTS.validate_json(gzip.decompress(data))
        except (OSError, ValueError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path} cannot be read ({reason}); replay to the step before it, or restore it") from error

    def _append(self, line: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        for number, raw in enumerate(self._path.read_bytes().splitlines(keepends=True), start=1):
            if not raw.endswith(b"\n"):
                return
            try:
                yield json.loads(raw)
            except ValueError as error:
                raise UserError(f"{self._path}:{number} is damaged ({error}); restore the file") from error


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
