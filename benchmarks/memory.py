"""Does a long run hold its memory? Resident memory of each of its processes at the end over that after the first steps.

    ratio = median over the last WINDOW steps ÷ median over the WINDOW steps from `--after` on, per process

A run of the whole program, real in every part, is sampled twice a second; processes are told apart by pid. `resident` is
what the kernel counts, pages of the object store that the process has touched included; `private` leaves shared pages out.
Processes that are not there in both windows are counted, not compared: `came` and `went`. Does not measure: memory of a GPU.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.learner import commit, machine
from telemetry.records import Phase
from telemetry.status import read_status

WINDOW = 10  # steps
EVERY_S = 0.5
MIB = 2**20
RUN_TIMEOUT_S = 7200.0


@dataclass(slots=True)
class Samples:
    """Of one process: (step, resident bytes, private bytes), in order."""

    label: str = "?"
    taken: list[tuple[int, int, int]] = field(default_factory=list)

    def between(self, first: int, last: int) -> list[tuple[int, int, int]]:
        return [one for one in self.taken if first <= one[0] <= last]


def label(command: Sequence[str]) -> str:
    """A Ray actor's title, a Python process' module or script, any other's program."""
    if not command:
        return "?"
    if command[0].startswith("ray::"):
        return command[0].split(".")[0].split("(")[0]  # without the method that it is busy with
    if "-m" in command[:-1]:
        return command[command.index("-m") + 1]
    words = [word for word in command[1:] if not word.startswith("-")] if Path(command[0]).name.startswith("python") else []
    return Path((words or command)[0].split(" ")[0]).name


def newest_step(run: Path) -> int:
    """Of self-play; 0 before the first."""
    status = read_status(run)
    return status.step if status is not None and status.phase == Phase.SELF_PLAY else 0


def watch(process: "subprocess.Popen[bytes]", run: Path) -> dict[int, Samples]:
    """Until the run has ended. Raises CalledProcessError where it failed."""
    samples: dict[int, Samples] = {}
    top, deadline = psutil.Process(process.pid), time.monotonic() + RUN_TIMEOUT_S
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.terminate()
            sys.exit(f"error: {run} has not ended within {RUN_TIMEOUT_S:g} s")
        step = newest_step(run)
        with suppress(psutil.NoSuchProcess):
            for one in [top, *top.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    memory = one.memory_info()
                    sampled = samples.setdefault(one.pid, Samples())
                    sampled.label = label(one.cmdline())  # it may have been a fork that had not become its program yet
                    sampled.taken.append((step, memory.rss, memory.rss - memory.shared))
        time.sleep(EVERY_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return samples


def compare(samples: Mapping[int, Samples], after: int, steps: int) -> dict[str, Any]:
    """Ratios by label; several processes of one label are listed one by one, the highest ratio first."""
    early, late = (after, after + WINDOW - 1), (steps - WINDOW, steps - 1)  # the last step's line is the run's end
    processes: dict[str, list[dict[str, float]]] = defaultdict(list)
    came, went = [], []
    for one in samples.values():
        begin, end = one.between(*early), one.between(*late)
        if begin and end:
            (before, private), (now, private_now) = (
                (median(taken[1] for taken in part), median(taken[2] for taken in part)) for part in (begin, end)
            )
            figures = {
                "mib": round(now / MIB, 1),
                "resident": round(now / before, 4),
                "private": round(private_now / max(1, private), 4),
            }
            processes[one.label].append(figures)
        elif end:
            came.append(one.label)
        elif begin:
            went.append(one.label)
    ratios = [figures["resident"] for listed in processes.values() for figures in listed]
    for listed in processes.values():
        listed.sort(key=lambda figures: -figures["resident"])
    return {"largest_ratio": max(ratios), "processes": dict(processes), "came": sorted(came), "went": sorted(went)}


def text(found: Mapping[str, Any]) -> str:
    lines = [f"{'process':>40}  {'MiB':>8}  resident  private"]
    rows = [(name, one) for name, listed in found["processes"].items() for one in listed]
    for name, one in sorted(rows, key=lambda row: -row[1]["resident"]):
        lines.append(f"{name[-40:]:>40}  {one['mib']:8.1f}  ×{one['resident']:.3f}    ×{one['private']:.3f}")
    lines.append(f"came: {', '.join(found['came']) or 'none'}; went: {', '.join(found['went']) or 'none'}")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON only")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--after", type=int, default=50, help="the step from which memory is to be flat")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("overrides", nargs="*", help="of the run's configuration, as in pipeline.staleness=2")
    options = parser.parse_args(argv)
    if options.steps < options.after + 2 * WINDOW:
        parser.error(f"--steps must be at least --after + {2 * WINDOW}, got {options.steps} and {options.after}")
    with tempfile.TemporaryDirectory() as root:
        fixed = (
            f"run.root={root}",
            "run.name=memory",
            f"run.steps={options.steps}",
            f"seed={options.seed}",
            "cluster.address=local",
        )
        cache = f"model.stand_in.cache={root}/cache"
        command = [sys.executable, "-m", "cluster.train", "configs/smoke.yaml", *fixed, cache, *options.overrides]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        found = compare(watch(process, Path(root) / "memory"), options.after, options.steps)
    if not options.json:
        sys.stdout.write(text(found))
    provenance = {
        "machine": machine(),
        "commit": commit(),
        "steps": options.steps,
        "after": options.after,
        "seed": options.seed,
    }
    sys.stdout.write(json.dumps({**found, **provenance}) + "\n")


if __name__ == "__main__":
    main()
