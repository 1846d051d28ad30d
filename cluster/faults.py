"""The actors that a run lost and got back: a warning for each, and a line of RUN/faults.jsonl that outlives the run.

    {"time": 1764000000.0, "who": ["azr-generator-0"], "line": "...", "seconds": null}      lost
    {"time": 1764000012.5, "who": ["azr-generator-0"], "line": "...", "seconds": 12.4}      back, after so long

Invariant: a line is whole, or a kill tore it. Threads may tell at once. Does not: mend anything (actors.fleet does).
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.mending import Fault  # with which ray is imported, that --local does without

FILE = "faults.jsonl"
READY = "all actors have started"  # a driver says so: from now on a lost one is made anew


class FaultLog:
    """Implements `actors.mending.Told`."""

    def __init__(self, run_dir: Path, warn: Callable[[str], None]) -> None:
        self._path, self._warn = run_dir / FILE, warn
        self._lock = threading.Lock()

    def __call__(self, fault: "Fault") -> None:
        with self._lock:
            self._warn(fault.line)
            with self._path.open("a", encoding="utf-8") as file:
                if file.tell() and not self._path.read_bytes().endswith(b"\n"):  # torn by a kill, and the run goes on behind it
                    file.write("\n")
                file.write(json.dumps({"time": time.time(), **asdict(fault)}) + "\n")


def read_faults(run_dir: Path) -> Iterator[Mapping[str, Any]]:
    """In order, without a line that a kill tore; none where the run lost nobody."""
    path = run_dir / FILE
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue
