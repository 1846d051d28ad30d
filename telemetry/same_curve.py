"""Whether two runs are the same: all that their event files say of themselves, but what a clock measured, bit for bit.

Reads two run directories; knows nothing of why they should be equal.
"""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from telemetry.jsonl import STEPS, folder, read_lines

CLOCK = ("time/", "tokens/per_s")  # beginnings of the scalars that a clock measures


def first_difference(one: Path, other: Path) -> str:
    """Where their curves part: the global step, the name, both values; empty where they are equal to the last bit."""
    for a, b in zip_longest(_curve(one), _curve(other)):
        if a is None or b is None:
            ended, longer = (one, b) if a is None else (other, a)
            return f"{ended} ends before global step {longer['global_step']}"
        for name in sorted(a.keys() | b.keys()):
            if a.get(name) != b.get(name):
                return f"global step {a['global_step']}: {name} is {a.get(name)} in {one}, {b.get(name)} in {other}"
    return ""


def _curve(run_dir: Path) -> Iterator[dict[str, Any]]:
    for line in read_lines(folder(run_dir) / f"{STEPS}.jsonl"):
        scalars = {name: value for name, value in line.pop("scalars").items() if not name.startswith(CLOCK)}
        yield line | scalars
