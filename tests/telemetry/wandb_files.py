"""Reads what an offline W&B session recorded, by the file's own format and W&B's protobufs alone."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as pb


@dataclass(frozen=True, kw_only=True)
class WandbFile:
    """What an offline W&B session recorded."""

    run_id: str
    config: dict[str, Any]
    history: list[dict[str, Any]]
    summary: dict[str, Any]
    artifacts: list[str]

    def tables(self, name: str, session: Path) -> list[list[Any]]:
        """All rows logged under a table name, in order."""
        paths = [row[f"{name}/path"] for row in self.history if f"{name}/path" in row]
        return [row for path in paths for row in json.loads((session / "files" / path).read_text())["data"]]


def _chunks(data: bytes) -> Iterator[bytes]:
    """Records of the LevelDB log format: blocks of 32 KiB, chunks with (crc, length, type), 1 whole, 2-4 first to last."""
    position, parts = 7, b""  # behind W&B's own header
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        if left < 7 or kind == 0:
            position += left
            continue
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""


def read_session(session: Path) -> WandbFile:
    [path] = session.glob("run-*.wandb")
    run_id = ""
    artifacts: list[str] = []
    history: list[dict[str, Any]] = []
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    for chunk in _chunks(path.read_bytes()):
        record = pb.Record()
        record.ParseFromString(chunk)
        items = [*record.history.item, *record.summary.update, *record.run.config.update]
        values = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run_id, config = record.run.run_id, config | values
        elif kind == "history":
            history.append(values)
        elif kind == "summary":
            summary |= values
        elif kind == "artifact":
            artifacts.append(record.artifact.name)
    return WandbFile(run_id=run_id, config=config, history=history, summary=summary, artifacts=artifacts)


def sessions_of(run_dir: Path) -> list[Path]:
    """The folders of a run's offline sessions, oldest first."""
    return sorted((run_dir / "wandb").glob("offline-run-*"))
