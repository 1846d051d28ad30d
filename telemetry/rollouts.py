"""The rollouts that a report carries, packed for its viewer: every proposal and attempt with what became of it.

A story is all that the run has on one task: its proposal, what was admitted, the attempts of every step. Invariant: a
story is carried whole or not at all. A run that has more than fits carries stories drawn by a hash of their ids, so that
no step is preferred and a newer report of the same run keeps to them. What was dropped before a batch was made of it (too
stale, its generator died) left no row, and is named from the ledger. Does not: show anything (web/rollouts.js).
"""

import base64
import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from buffers.ledger import FOLDER, Event
from buffers.ledger_files import read_records
from tasks.records import task_of
from telemetry.history import History
from telemetry.jsonl import folder, read_lines

MAX_ROLLOUTS = 20_000
MAX_CHARACTERS = 30_000_000  # of completions and of the proposers' prompts, before compression
TEXT_CHARACTERS = 4_000  # of one text; what is longer is cut, and says so
# Few values, many rows: each is written once.
CODED = ("story", "phase", "kind", "role", "status", "reason", "dropped", "prompt")
PLAIN = ("id", "step", "version", "text", "reward", "advantage", "solve_rate", "num_tokens", "mean_logprob", "trained")
TASK = ("task_id", "kind", "step", "version", "origin", "program", "pairs", "difficulty", "solve_rate")

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRollouts:
    """`data`: base64 of gzipped JSON, as web/rollouts.js reads it."""

    data: str
    kept: int
    total: int


def pack_rollouts(run_dir: Path, history: History, most: int = MAX_ROLLOUTS) -> PackedRollouts | None:
    """None when the run has none yet. OSError or ValueError as the event files are, UserError as the ledger is."""
    sizes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in _rollouts(run_dir):
        story = sizes[_story(line)]
        story[0] += 1
        story[1] += len(_cut(line["text"])) + (len(_cut(line["prompt"])) if "proposal_id" in line else 0)
    if not sizes:
        return None
    kept = _chosen(sizes, most)
    phases = {line["global_step"]: line["phase"] for line in history.lines}
    rows = sorted((line for line in _rollouts(run_dir) if _story(line) in kept), key=lambda line: line["global_step"])
    tasks = [line for line in read_lines(folder(run_dir) / "tasks.jsonl") if line["task_id"] in kept]
    tables = {
        "rollouts": _rollout_columns(rows, phases),
        "tasks": {name: _plain(tasks, name) for name in TASK},
        "untold": _untold(run_dir, kept, {_id(row) for row in rows}),
    }
    packed = gzip.compress(json.dumps(tables, allow_nan=False, separators=(",", ":")).encode(), mtime=0)
    return PackedRollouts(
        data=base64.b64encode(packed).decode(), kept=len(rows), total=sum(count for count, _ in sizes.values())
    )


def _rollouts(run_dir: Path) -> Iterator[Line]:
    return chain.from_iterable(read_lines(folder(run_dir) / f"{name}.jsonl") for name in ("proposals", "attempts"))


def _id(line: Line) -> str:
    return str(line.get("attempt_id") or line["proposal_id"])


def _story(line: Line) -> str:
    """An admitted proposal's id is its task's."""
    return str(line["proposal_id"] if "proposal_id" in line else line["task_id"])


def _chosen(sizes: Mapping[str, Sequence[int]], most: int) -> set[str]:
    """The ids of the stories that fit, in the order of a hash; one that is too large for what is left is passed over."""
    rollouts, characters, chosen = most, MAX_CHARACTERS, set()
    for story in sorted(sizes, key=lambda name: hashlib.blake2b(name.encode(errors="surrogatepass")).digest()):
        count, length = sizes[story]
        if count <= rollouts and length <= characters:
            rollouts, characters = rollouts - count, characters - length
            chosen.add(story)
    return chosen


def _untold(run_dir: Path, kept: Set[str], told: Set[str]) -> dict[str, list[str]]:
    """The rollouts of these stories that have no row, with the reason for which the ledger says they were dropped."""
    dropped: dict[str, str] = {}
    for record in read_records(run_dir / FOLDER):
        event, _, reason = record.words[-1].partition(":")
        for name in record.ids:
            if event == Event.DROPPED and name not in told and (task_of(name) or name) in kept:
                dropped[name] = reason
            else:
                dropped.pop(name, None)  # asked again after a resume
    return {"story": [task_of(name) or name for name in dropped], "id": list(dropped), "reason": list(dropped.values())}


def _rollout_columns(rows: Sequence[Line], phases: Mapping[int, str]) -> dict[str, Any]:
    named = [
        {
            **row,
            "id": _id(row),
            "story": _story(row),
            "phase": phases.get(row["global_step"], ""),
        }
        for row in rows
    ]
    shown = {"references": [str(row.get("references") or "") for row in rows]}
    return {name: _coded(named, name) for name in CODED} | {name: _plain(named, name) for name in PLAIN} | shown


def _coded(rows: Sequence[Line], name: str) -> dict[str, list[Any]]:
    """Each value once, and each row's place among them."""
    values = [_value(row.get(name)) for row in rows]
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    return {"values": list(places), "codes": [places[value] for value in values]}


def _plain(rows: Sequence[Line], name: str) -> list[Any]:
    return [_value(row.get(name)) for row in rows]


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return _cut(value)
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS else f"{text[:TEXT_CHARACTERS]} … ({len(text):,} characters)"
