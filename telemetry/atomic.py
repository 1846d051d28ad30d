"""Files that are either the old or the new one, never half of each, also when the process is killed."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Writes beside the target and renames over it. Raises OSError as the file system does; the old file then stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
