"""Latencies of a run that was played, from its `telemetry/` folder: what the parts took, and how long completions were.

    propose, solve (synchronous run)   fitted: engine steps · step_s + tokens of an engine · sequence_s, of the largest share
    pipeline (asynchronous run)        tokens of an engine · sequence_s = a step's seconds, as if its engines never idled
    completions                        an attempt's tokens; a proposal's characters, scaled to the recorded mean of tokens
    the learner's stages               the `time/…` scalars

Only the newest steps are read (WINDOW of them, and at most MAX_BYTES of a table). What a run does not tell is said in `notes`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappush, heapreplace
from pathlib import Path
from statistics import fmean
from typing import Any

from configs.errors import UserError
from configs.schema import RunConfig
from selfplay.simulation.engine import Speed
from selfplay.simulation.fleet import balanced
from selfplay.simulation.latencies import NOTHING, Latencies, Samples
from tasks.records import Kind, Role
from telemetry.history import read_history
from telemetry.jsonl import folder
from telemetry.records import Phase

WINDOW = 50
MAX_BYTES = 16 * 2**20
SATURATED = 0.1  # share of a step that the learner waits, from which on it is the generators that are the bottleneck
STAGES = {Role.PROPOSE: "time/propose", Role.SOLVE: "time/solve"}
Steps = Mapping[int, Mapping[str, float]]  # the scalars by global step
Lengths = Mapping[tuple[int, Kind, Role], Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """`step_s`: what a step took, without evaluation and checkpoint."""

    latencies: Latencies
    step_s: float
    num_steps: int
    notes: tuple[str, ...]


def read_latencies(run_dir: Path, run: RunConfig) -> Recorded:
    """Of the run's own steps; `run` is its configuration. UserError when it has not got far enough."""
    lines = [line for line in read_history(run_dir).lines if line["phase"] == Phase.SELF_PLAY]
    steps: Steps = {line["global_step"]: line["scalars"] for line in lines if line["scalars"].get("counts/attempted")}
    steps = dict(list(steps.items())[-WINDOW:])
    lengths = _lengths(run_dir, steps)
    if not lengths:
        raise UserError(f"{run_dir} has no self-play steps to take latencies from; give a run that has played some")
    in_turns = run.pipeline.staleness == 0
    publish_s = _stage(steps, "publish")
    if in_turns:  # its publication ends when the generators have loaded it
        publish_s = tuple(seconds / 2 for seconds in publish_s)
    load_s = fmean(publish_s if in_turns else [told.get("generators/pause_s", 0.0) for told in steps.values()])
    step_s, sequence_s, notes = (_of_stages if in_turns else _of_pipeline)(steps, lengths, run)
    own_s = (told["time/step"] - told.get("time/evaluate", 0.0) - told.get("time/checkpoint", 0.0) for told in steps.values())
    latencies = Latencies(
        speed=Speed(step_s=step_s, sequence_s=sequence_s, slots=run.generators.max_num_seqs, load_s=load_s),
        tokens=_pooled(lengths),
        admitted=_admitted(steps),
        update_s=_stage(steps, "update"),
        publish_s=publish_s,
        judge_s=NOTHING if in_turns else _stage(steps, "judge"),
        store_s=_stage(steps, "buffer", "events"),
        tell_s=_stage(steps, "metrics", "telemetry"),
        references_s=_stage(steps, "references"),
        verify_s=_each(steps, "verify", "counts/proposed") if in_turns else NOTHING,
        grade_s=_each(steps, "judge", "counts/attempted") if in_turns else NOTHING,
    )
    return Recorded(latencies=latencies, step_s=fmean(own_s), num_steps=len(steps), notes=notes)


def _of_stages(steps: Steps, lengths: Lengths, run: RunConfig) -> tuple[float, float, tuple[str, ...]]:
    """Least squares of the relative errors, over the propose and the solve stage of every step."""
    rows = []
    for step, told in steps.items():
        for role, name in STAGES.items():
            tokens = [size for (at, _, of), sizes in lengths.items() if (at, of) == (step, role) for size in sizes]
            if tokens and told.get(name):
                shares = balanced(tokens, run.generators.count)
                num_steps = max(_num_steps(share, run.generators.max_num_seqs) for share in shares)
                rows.append((num_steps, max(map(sum, shares)), told[name]))
    step_s, sequence_s = _fitted(rows)
    return step_s, sequence_s, ("half of time/publish is taken as the generators' loading: synchronously they are one",)


def _of_pipeline(steps: Steps, lengths: Lengths, run: RunConfig) -> tuple[float, float, tuple[str, ...]]:
    notes = ["a step_s is not told by an asynchronous run: taken as 0", "verifying and grading are hidden in one: taken as 0"]
    waited = fmean(told.get("time/wait", 0.0) / told["time/step"] for told in steps.values())
    if waited < SATURATED:
        notes.append(f"the learner waited {waited:.0%} of a step: the generators may be faster than what is taken here")
    alive = fmean(told.get("generators/alive", run.generators.count) for told in steps.values())
    seconds = sum(told["time/step"] - told.get("time/evaluate", 0.0) for told in steps.values())
    return 0.0, alive * seconds / max(1.0, sum(told["tokens/step"] for told in steps.values())), tuple(notes)


def _fitted(rows: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """(a, b), neither negative, such that a · x + b · y is about z in every row, and equal to it over all rows together."""
    parts = [(x / z, y / z) for x, y, z in rows]
    xx, xy, yy = (sum(part[i] * part[j] for part in parts) for i, j in ((0, 0), (0, 1), (1, 1)))
    x, y = sum(part[0] for part in parts), sum(part[1] for part in parts)
    determinant = xx * yy - xy * xy
    fits = [(x / xx, 0.0), (0.0, y / yy)]
    if determinant > 1e-9 * xx * yy:
        fits.append(((x * yy - y * xy) / determinant, (y * xx - x * xy) / determinant))
    a, b = min(
        (fit for fit in fits if min(fit) >= 0),
        key=lambda fit: sum((fit[0] * part[0] + fit[1] * part[1] - 1) ** 2 for part in parts),
    )
    longer = sum(row[2] for row in rows) / sum(a * row[0] + b * row[1] for row in rows)
    return a * longer, b * longer


def _num_steps(tokens: Sequence[float], slots: int) -> float:
    """Engine steps until requests that come at once have all their tokens, `slots` of them at a time."""
    ends: list[float] = []
    for size in tokens:
        if len(ends) < slots:
            heappush(ends, size)
        else:
            heapreplace(ends, ends[0] + size)
    return max(ends, default=0.0)


def _stage(steps: Steps, *names: str) -> Samples:
    """Seconds of the stages together, step by step."""
    return tuple(sum(told.get(f"time/{name}", 0.0) for name in names) for told in steps.values())


def _each(steps: Steps, name: str, count: str) -> Samples:
    return tuple(told.get(f"time/{name}", 0.0) / told[count] for told in steps.values() if told[count]) or NOTHING


def _admitted(steps: Steps) -> dict[Kind, float]:
    """Where a kind was never proposed, all that is asked of it comes from its buffer: any share will do."""
    told = {kind: [scalars[f"valid/{kind}"] for scalars in steps.values() if f"valid/{kind}" in scalars] for kind in Kind}
    return {kind: fmean(shares) if shares else 1.0 for kind, shares in told.items()}


def _pooled(lengths: Lengths) -> dict[tuple[Kind, Role], Samples]:
    pooled: dict[tuple[Kind, Role], list[float]] = {}
    for (_, kind, role), sizes in lengths.items():
        pooled.setdefault((kind, role), []).extend(sizes)
    return {key: tuple(sizes) for key, sizes in pooled.items()}


def _lengths(run_dir: Path, steps: Steps) -> Lengths:
    """Tokens of the completions of these steps, as far as the newest part of the tables has them whole."""
    found: dict[tuple[int, Kind, Role], list[float]] = {}
    for role, table in ((Role.PROPOSE, "proposals"), (Role.SOLVE, "attempts")):
        for row in _newest(folder(run_dir) / f"{table}.jsonl"):
            if row["global_step"] in steps:
                size = row["num_tokens"] if role is Role.SOLVE else len(row["text"]) + 1
                found.setdefault((row["global_step"], Kind(row["kind"]), role), []).append(float(size))
    for (step, kind, role), sizes in found.items():
        mean = steps[step].get(f"length/{kind}/{role}")
        if role is Role.PROPOSE and mean is not None:
            found[step, kind, role] = [size * mean / fmean(sizes) for size in sizes]
    return found


def _newest(path: Path) -> list[dict[str, Any]]:
    """The rows of the whole steps at the end of a table; a torn last line is left out."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MAX_BYTES))
        lines = file.read().splitlines(keepends=True)
    rows = [json.loads(line) for line in (lines[1:] if size > MAX_BYTES else lines) if line.endswith(b"\n")]
    return [row for row in rows if size <= MAX_BYTES or row["global_step"] != rows[0]["global_step"]]
