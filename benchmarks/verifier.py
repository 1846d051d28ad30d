"""Executions per second of the sandbox over real programs, as ratios to three other ways, side by side in one run.

    over_bare_fork         our forks/s ÷ forks/s of processes that do nothing but fork and wait for an empty child
    over_fresh_process     our rows/s ÷ rows/s with a fresh `python -I -S -c` per row (no determinism check, no isolation)
    over_reference_policy  our rows/s ÷ rows/s of one persistent worker that takes one item per call and runs each row twice,
                           as the reference implementation does (pebble's pool; no isolation, no memory limit)
    p99_hang_factor        99th percentile of a run's latency with 1 % infinite loops among the rows ÷ without them

Ours has every wall up and the determinism check on. The sides take turns; a ratio is the median over rounds. The last
figures also say what each side did in absolute terms, and how the reference's policy fares with the loops.
"""

import argparse
import json
import os
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from contextlib import closing
from pathlib import Path

from pebble import ProcessPool

from benchmarks.learner import commit, machine
from configs.system_sections import VerifiersSection
from verifier.execution import Call
from verifier.python import PythonExecutor

DATA = Path("../shared/data/cruxeval/cruxeval_first400.jsonl")
TIMEOUT_S = 1.0
HANG = "def f():\n    while True:\n        pass\n#"
HANG_EVERY = 100
FORKS = 1500
BARE = """
import os, time
start = time.perf_counter()
for _ in range({forks}):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
print(time.perf_counter() - start)
"""


def cores() -> int:
    return len(os.sched_getaffinity(0))


def read_rows(path: Path) -> list[Call]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [Call(program=row.get("program") or row["code"], input=row["input"], deterministic=True) for row in rows]


def bare_forks_per_s() -> float:
    """The sum over one process per core, all at once."""
    command = [sys.executable, "-S", "-s", "-c", BARE.format(forks=FORKS)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(cores())]
    return sum(FORKS / float(process.communicate()[0]) for process in processes)


def fresh_rows_per_s(rows: Sequence[Call]) -> float:
    """One new interpreter per row, as many at once as there are cores."""

    def run(row: Call) -> None:
        code = f"{row.program}\nprint(repr(f({row.input})))"
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )

    with ThreadPoolExecutor(cores()) as threads:
        return rate(lambda: list(threads.map(run, rows)), len(rows))


def run_twice(pool: ProcessPool, rows: Sequence[Call]) -> None:
    for row in rows:
        for _ in range(2):
            future = pool.map(execute, [row], timeout=TIMEOUT_S)
            try:
                next(future.result())
            except TimeoutError:
                break


def execute(row: Call) -> str:
    """In the reference policy's worker: state of the interpreter carries over from row to row."""
    names: dict[str, object] = {}
    exec(row.program, names)
    exec(f"result = f({row.input})", names)
    pickle.dumps(names["result"])
    return str(names["result"])


def rate(work: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def with_hangs(rows: Sequence[Call]) -> list[Call]:
    """An infinite loop after every HANG_EVERY − 1 rows; each has a text of its own, as equal calls are run once."""
    calls: list[Call] = []
    for number, row in enumerate(rows, start=1):
        calls.append(row)
        if number % (HANG_EVERY - 1) == 0:
            calls.append(Call(program=f"{HANG} {number}", input="", deterministic=True))
    return calls


def p99_s(executor: PythonExecutor, calls: Sequence[Call]) -> float:
    """Of the calls that do not hang, from the start of a row's first run to the end of its last."""
    outcomes = executor.run(calls)
    walls = sorted(outcome.wall_s for outcome, call in zip(outcomes, calls, strict=True) if not call.program.startswith(HANG))
    return walls[int(0.99 * len(walls))]


def measure(rows: Sequence[Call], rounds: int) -> list[dict[str, float]]:
    section = VerifiersSection(timeout_s=TIMEOUT_S)
    measured = []
    with closing(PythonExecutor(section)) as executor, ProcessPool(max_workers=1) as pool:
        executor.run(rows)  # starts the servers
        run_twice(pool, rows[:10])
        for _ in range(rounds):
            measured.append(
                {
                    "rows_per_s": rate(lambda: executor.run(rows), len(rows)),
                    "bare_forks_per_s": bare_forks_per_s(),
                    "reference_rows_per_s": rate(lambda: run_twice(pool, rows), len(rows)),
                    "fresh_rows_per_s": fresh_rows_per_s(rows),
                    "p99_s": p99_s(executor, rows),
                    "p99_with_hangs_s": p99_s(executor, with_hangs(rows)),
                    "rows_per_s_with_hangs": rate(lambda: executor.run(with_hangs(rows)), len(rows)),
                }
            )
        hanging = with_hangs(rows)
        reference_with_hangs = rate(lambda: run_twice(pool, hanging), len(rows))
    return [{**each, "reference_rows_per_s_with_hangs": reference_with_hangs} for each in measured]


def summarise(measured: Sequence[dict[str, float]], forks_per_row: float) -> dict[str, float]:
    def ratio(above: str, below: str) -> float:
        return round(statistics.median(each[above] / each[below] for each in measured), 3)

    absolute = {name: round(statistics.median(each[name] for each in measured), 4) for name in measured[0]}
    return {
        "over_bare_fork": round(forks_per_row * ratio("rows_per_s", "bare_forks_per_s"), 3),
        "over_fresh_process": ratio("rows_per_s", "fresh_rows_per_s"),
        "over_reference_policy": ratio("rows_per_s", "reference_rows_per_s"),
        "over_reference_policy_with_hangs": ratio("rows_per_s_with_hangs", "reference_rows_per_s_with_hangs"),
        "p99_hang_factor": ratio("p99_with_hangs_s", "p99_s"),
        "forks_per_row": round(forks_per_row, 3),
        **absolute,
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verifier", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON only")
    parser.add_argument("--data", type=Path, default=DATA, help="JSONL of program (or code) and input")
    parser.add_argument("--seed", type=int, default=0, help="recorded; nothing here is random")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    if not options.data.is_file():
        parser.error(f"--data must be a JSONL file of programs, got {options.data}, which is not there")
    rows = read_rows(options.data)
    result = summarise(measure(rows, options.rounds), statistics.mean(PythonExecutor.num_runs(row) for row in rows))
    if not options.json:
        for name, value in result.items():
            sys.stdout.write(f"{name:>34}  {value}\n")
    sys.stdout.write(json.dumps({**result, "machine": machine(), "commit": commit(), "seed": options.seed}) + "\n")


if __name__ == "__main__":
    main()
