"""The ledger's files: segments of checksummed lines.

    RUN/ledger/segment-000001.jsonl     HEAD, then one line per record: 8 hex digits of CRC-32, a space, JSON, a newline
    RUN/ledger/segment-000002.jsonl     the newest one is being appended to

A head says the segment's number and, once sealed, how many records follow and which ids went on into the next. Invariants:
segments are numbered without a gap; a sealed one appears by an atomic rename over the open one, so that a reader sees either
all of the first or all of the second. What kill -9 tears can only be the end of the newest segment: a reader leaves it
out. Damage anywhere else is an error that names the file and the offset. Does not know what the words mean.
"""

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.disk import sync, writing
from configs.errors import UserError

FIRST = 1
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All of these words are true of all of these ids, in order."""

    segment: int
    words: Words
    ids: tuple[str, ...]


class Segment:
    """The one that is appended to."""

    def __init__(self, folder: Path, number: int) -> None:
        """Makes the segment, empty."""
        self._path = segment_path(folder, number)
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb", buffering=0)  # nothing is held back that a later write would need
        self._write(_line({"segment": number}))

    def append(self, words: Words, ids: Sequence[str]) -> None:
        """With the system when it returns: it outlives this process, though not a loss of power."""
        self._write(_line({"words": words, "ids": ids}))

    def close(self) -> None:
        self._file.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        with self._writing():
            while rest:
                rest = rest[self._file.write(rest) :]

    def _writing(self) -> AbstractContextManager[None]:
        return writing(f"ledger {self._path}", self._path.parent)


def seal_segment(folder: Path, number: int, lines: Sequence[tuple[Words, Sequence[str]]], carried: Mapping[str, str]) -> None:
    """Puts these records, and which ids go on, in place of the open segment; on disk when it returns."""
    path = segment_path(folder, number)
    partial = path.with_suffix(".partial")
    head = {"segment": number, "sealed": len(lines), "carried": dict(carried)}
    with writing(f"ledger {path}", folder):
        with partial.open("wb") as file:
            file.write(_line(head))
            file.writelines(_line({"words": words, "ids": ids}) for words, ids in lines)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync(folder)


def read_carried(folder: Path, position: int) -> dict[str, str]:
    """The ids, with their last word, that were on their way at a position. UserError where the ledger does not reach it."""
    if position == FIRST:
        return {}
    present = segment_numbers(folder)
    missing = [number for number in range(FIRST, position) if number not in present]
    if missing:
        raise _damaged(segment_path(folder, missing[0]), "is missing")
    path = segment_path(folder, position - 1)
    with path.open("rb") as file:
        head = _parsed(file.readline())
    if head is None or not isinstance(head.get("carried"), dict):
        raise _damaged(path, "is not sealed, though a checkpoint says so")
    return dict(head["carried"])


def remove_from(folder: Path, position: int) -> None:
    """Removes the segments from this one on, the newest first: a kill in between leaves no gap."""
    for number in sorted(segment_numbers(folder), reverse=True):
        if number >= position:
            segment_path(folder, number).unlink()
    for partial in folder.glob("segment-*.partial"):
        partial.unlink()


def segment_numbers(folder: Path) -> set[int]:
    names = (path.stem.removeprefix("segment-") for path in folder.glob("segment-*.jsonl"))
    return {int(name) for name in names if name.isdecimal()}


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"segment-{number:06d}.jsonl"


def read_records(folder: Path, position: int | None = None) -> Iterator[Record]:
    """The records before `position`; None: all, without what is torn off at the end. UserError for any other damage."""
    numbers = segment_numbers(folder)
    last = position - 1 if position is not None else max(numbers, default=FIRST - 1)
    for number in range(FIRST, last + 1):
        if number not in numbers:
            raise _damaged(segment_path(folder, number), "is missing")
        yield from _read_segment(folder, number, newest=position is None and number == last)


def _read_segment(folder: Path, number: int, newest: bool) -> Iterator[Record]:
    path = segment_path(folder, number)
    expected, found, offset = None, 0, 0
    with path.open("rb") as file:
        for raw in file:
            if newest and not raw.endswith(b"\n"):
                break
            data = _parsed(raw)
            if data is None:
                raise _damaged(path, f"is damaged at byte {offset}")
            if offset == 0:
                expected = _sealed_count(path, data, number, newest)
            else:
                found += 1
                yield Record(segment=number, words=tuple(data["words"]), ids=tuple(data["ids"]))
            offset += len(raw)
    if (expected is not None and found != expected) or (offset == 0 and not newest):
        raise _damaged(path, f"ends at byte {offset} with {found} of {expected} records")


def _sealed_count(path: Path, head: Mapping[str, Any], number: int, newest: bool) -> int | None:
    if head.get("segment") != number or (not newest and "sealed" not in head):
        raise _damaged(path, "is damaged at byte 0")
    sealed: int | None = head.get("sealed")
    return sealed


def _line(data: Mapping[str, object]) -> bytes:
    body = json.dumps(data, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _parsed(raw: bytes) -> dict[str, Any] | None:
    """The object of a whole line; None for any other bytes."""
    checksum, _, body = raw.rstrip(b"\n").partition(b" ")
    if not raw.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
        return None
    data: dict[str, Any] = json.loads(body)
    return data


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"ledger {path} {what}; restore the file, or start a new run: what it accounts for is not known")
