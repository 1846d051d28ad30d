"""Which code made a run: the git commit of the program and whether the working tree differs from it."""

import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
TIMEOUT_S = 10.0


def git_state(folder: Path = SOURCE) -> dict[str, str | bool]:
    """`{commit, dirty}`; the commit is "unknown" outside a repository, before its first commit, or without git."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {"commit": "unknown", "dirty": True}
    return {"commit": head, "dirty": bool(changes)}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stdout.strip()
