"""The event files of a run: one JSON object a line, always on, the truth that every other view is made from.

Invariants: `global_step` never falls within a file; the line in `steps.jsonl` is written last, so that a step listed
there has all its rows; after `rewind` no line lies beyond the checkpoint from which the run goes on. A line torn by
kill -9 can only be the last one of a file, and is dropped. Numbers that are not finite are null here and named in
`non_finite`, so that the files are strict JSON.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from telemetry.records import AttemptRow, EvalRow, Phase, ProposalRow, StepRecord, TaskRow

Row = ProposalRow | AttemptRow | TaskRow | EvalRow
STEPS = "steps"
TABLES = ("proposals", "attempts", "tasks", "evals")
FILES = (*TABLES, STEPS)
ROW_TYPES: Mapping[str, type[Row]] = {"proposals": ProposalRow, "attempts": AttemptRow, "tasks": TaskRow, "evals": EvalRow}
COLUMNS: Mapping[str, tuple[str, ...]] = {name: tuple(field.name for field in fields(row)) for name, row in ROW_TYPES.items()}
# Thousands of rows a step: what holds for a whole table is found once.
_VALUES = {name: attrgetter(*columns) for name, columns in COLUMNS.items()}
_FLOATS = {name: tuple(field.name for field in fields(row) if "float" in str(field.type)) for name, row in ROW_TYPES.items()}
_encode = msgspec.json.Encoder().encode
BEFORE_ALL = -1  # the global step of a run from which nothing is kept


def folder(run_dir: Path) -> Path:
    return run_dir / "telemetry"


def rows_of(record: StepRecord) -> dict[str, tuple[Row, ...]]:
    """The record's rows by table."""
    return {"proposals": record.proposals, "attempts": record.attempts, "tasks": record.tasks, "evals": record.evals}


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file that may be growing; a torn last line is left out, a missing file is empty."""
    for line, _ in _whole_lines(path):
        yield line


def read_records(run_dir: Path, after: int = BEFORE_ALL) -> Iterator[StepRecord]:
    """The records beyond global step `after`, as they were emitted; what was not finite comes back as nan.

    Of a run that goes on, those that are there when the first is asked for: a record's rows are written before its step is.
    """
    steps = folder(run_dir) / f"{STEPS}.jsonl"
    size = steps.stat().st_size if steps.exists() else 0
    groups = {name: groupby(read_lines(folder(run_dir) / f"{name}.jsonl"), key=_global_step) for name in TABLES}
    heads = {name: next(group, None) for name, group in groups.items()}
    for line, end in _whole_lines(steps):
        if end > size:
            return
        rows: dict[str, tuple[Row, ...]] = {}
        for name in TABLES:
            head = heads[name]
            while head is not None and head[0] < line["global_step"]:
                head = next(groups[name], None)
            rows[name] = tuple(_row(name, row) for row in head[1]) if head and head[0] == line["global_step"] else ()
            heads[name] = next(groups[name], None) if rows[name] else head
        if line["global_step"] > after:
            yield _record(line, rows)


def rewind(path: Path, last_step: int) -> None:
    """Removes every line beyond `last_step` and a torn end."""
    keep = 0
    for line, end in _whole_lines(path):
        if line["global_step"] > last_step:
            break
        keep = end
    if path.exists() and path.stat().st_size > keep:
        with path.open("r+b") as file:
            file.truncate(keep)


def _whole_lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Each whole line with the offset of its end. ValueError for damage anywhere but in the last line."""
    if not path.exists():
        return
    end = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.endswith(b"\n"):
                return
            end += len(raw)
            try:
                line = json.loads(raw)
            except ValueError:
                line = None
            if not isinstance(line, dict) or not isinstance(line.get("global_step"), int):
                raise ValueError(f"{path}:{number} must be a JSON object with global_step; restore the file or start a new run")
            yield line, end


class JsonlSink:
    """Writes the event files; made over the files of an earlier session it goes on after `last_step`."""

    def __init__(self, run_dir: Path, last_step: int = BEFORE_ALL) -> None:
        base = folder(run_dir)
        base.mkdir(parents=True, exist_ok=True)
        paths = {name: base / f"{name}.jsonl" for name in FILES}
        for path in paths.values():
            rewind(path, last_step)
        self._files = {name: path.open("ab") for name, path in paths.items()}

    def write(self, record: StepRecord) -> None:
        for name, rows in rows_of(record).items():
            if rows:
                self._append(name, [row_dict(name, row, record.global_step) for row in rows])
        self._append(STEPS, [step_dict(record)])

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _append(self, name: str, lines: list[dict[str, object]]) -> None:
        file = self._files[name]
        file.write(b"".join(as_json(line) + b"\n" for line in lines))
        file.flush()


def as_json(line: dict[str, object]) -> bytes:
    """A line of an event file, without its end."""
    try:
        return _encode(line)
    except UnicodeEncodeError:  # a lone surrogate, which model text may hold
        return json.dumps(line, allow_nan=False, ensure_ascii=False).encode("utf-8", "backslashreplace")


def row_dict(table: str, row: Row, global_step: int) -> dict[str, object]:
    """A table row as it stands in JSON."""
    values: dict[str, object] = {"global_step": global_step}
    values.update(zip(COLUMNS[table], _VALUES[table](row), strict=True))
    for name in _FLOATS[table]:
        value = values[name]
        if isinstance(value, float) and not math.isfinite(value):
            values[name] = None
    return values


def step_dict(record: StepRecord) -> dict[str, object]:
    """A step without its rows, as it stands in JSON."""
    scalars = {name: float(value) for name, value in record.scalars.items()}
    line: dict[str, object] = {
        "global_step": record.global_step,
        "phase": record.phase,
        "step": record.step,
        "version": record.version,
        "scalars": {name: value if math.isfinite(value) else None for name, value in scalars.items()},
    }
    odd = [name for name, value in scalars.items() if not math.isfinite(value)]
    return {**line, "non_finite": odd} if odd else line


def _global_step(line: dict[str, Any]) -> int:
    step: int = line["global_step"]
    return step


def _row(table: str, line: Mapping[str, Any]) -> Row:
    values: dict[str, Any] = {name: line.get(name) for name in COLUMNS[table]}  # a column newer than the file is None
    return ROW_TYPES[table](**values)


def _record(line: Mapping[str, Any], rows: Mapping[str, tuple[Any, ...]]) -> StepRecord:
    scalars = {name: math.nan if value is None else value for name, value in line["scalars"].items()}
    return StepRecord(
        global_step=line["global_step"],
        phase=Phase(line["phase"]),
        step=line["step"],
        version=line["version"],
        scalars=scalars,
        **rows,
    )
