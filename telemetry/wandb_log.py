"""Reads W&B's own offline files back, to know what an earlier session really kept.

After kill -9 the last second or so of what was logged is not in the file, so only the file itself can say where the
next session must begin. The format is LevelDB's log: blocks of 32 KiB with chunks of (checksum, length, type), whose
payloads are protobuf records. A torn end is where reading stops; nothing here writes.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from wandb.proto import wandb_internal_pb2 as protobuf

MAGIC = b":W&B"
FILE_HEADER_BYTES = 7
BLOCK_BYTES = 32768
CHUNK_HEADER = struct.Struct("<IHB")
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def logged_step(run_dir: Path, run_id: str) -> int:
    """The highest step in any offline session of this run; -1 when there is none. Raises OSError."""
    return max((_file_step(path) for path in run_dir.glob(f"wandb/offline-run-*/run-{run_id}.wandb")), default=-1)


def _file_step(path: Path) -> int:
    highest = -1
    for payload in _payloads(path.read_bytes()):
        record = protobuf.Record()
        try:
            record.ParseFromString(payload)
        except DecodeError:
            break
        for item in record.history.item:
            if (item.key or "/".join(item.nested_key)) == "_step":
                highest = max(highest, int(json.loads(item.value_json)))
    return highest


def _payloads(data: bytes) -> Iterator[bytes]:
    position, parts = FILE_HEADER_BYTES, b""
    if not data.startswith(MAGIC):
        return
    while position + CHUNK_HEADER.size <= len(data):
        left = BLOCK_BYTES - position % BLOCK_BYTES
        _, length, kind = CHUNK_HEADER.unpack_from(data, position)
        if left < CHUNK_HEADER.size or kind == 0:  # the padded end of a block
            position += left
            continue
        body = data[position + CHUNK_HEADER.size : position + CHUNK_HEADER.size + length]
        if len(body) < length:
            return
        position += CHUNK_HEADER.size + length
        parts = body if kind in (WHOLE, FIRST) else parts + body
        if kind in (WHOLE, LAST):
            yield parts
