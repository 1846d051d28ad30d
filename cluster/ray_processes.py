"""Which processes below this one Ray has started. Others may begin at the same time and are not Ray's: W&B's service is one."""

import contextlib
from pathlib import Path

import psutil
import ray

RAY_FOLDER = f"{Path(ray.__file__).parent}/"  # in the command lines of all that Ray starts itself


def children() -> set[psutil.Process]:
    """Of this process, without theirs."""
    return set(psutil.Process().children())


def ray_processes(before: set[psutil.Process]) -> set[psutil.Process]:
    """Ray's among this process' children that were not among `before`, and all below them.

    To be listed before parents go away and leave their children to init.
    """
    found: set[psutil.Process] = set()
    for child in children() - before:
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(RAY_FOLDER in word for word in child.cmdline()):
                found |= {child, *child.children(recursive=True)}
    return found
