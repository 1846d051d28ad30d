"""What a failed write means: tells a disk that is full, or cannot be written, from a bug. Writes nothing that stays."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.errors import UserError

PROBE_BYTES = 2**20


@contextmanager
def writing(what: str, folder: Path) -> Iterator[None]:
    """For who writes `what` under `folder`: UserError where it is the disk that fails.

    Libraries say in words of their own that a disk is full (torch: RuntimeError), so whatever fails is put down to the disk
    where it has no room; other exceptions pass.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else _no_room(folder)
        if not reason:
            raise
        raise UserError(
            f"{what} cannot be written ({reason}); free disk space or change run.root, then run the same command again: it "
            "goes on from the newest checkpoint"
        ) from error


def sync(path: Path) -> None:
    """A file's contents, or a folder's entries, are on disk after this."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _no_room(folder: Path) -> str:
    """The system's words for it; empty where there is room."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE_BYTES))
    except OSError as error:
        return error.strerror or str(error)
    return ""
