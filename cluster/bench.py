"""`azr bench NAME`: runs `python -m benchmarks.NAME` in a process of its own and hands on its output and exit code.

A benchmark is not imported: it measures start-up, threads and memory of a process that holds nothing else.
"""

import difflib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from configs.errors import ConfigError

FOLDER = Path(__file__).parent.parent / "benchmarks"


def benchmark_names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.py") if file.stem != "__init__")


def run_benchmark(name: str, arguments: Sequence[str]) -> int:
    names = benchmark_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"benchmark must be one of {', '.join(names) or 'none'}, got {name}{hint}")
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], cwd=FOLDER.parent, check=False).returncode
