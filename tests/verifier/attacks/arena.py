"""Where attacks are run: one worker, watched from outside for everything that an attack may leave behind.

Owns a pool, its canaries, and what the supervisor held before the first attack. It knows no single attack.
"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import psutil

from configs.system_sections import VerifiersSection
from tests.verifier.attacks.case import MARK, Attack
from verifier.execution import Call, Outcome
from verifier.python import PythonExecutor
from verifier.sandbox.pool import OLD, PATIENCE

TIMEOUT_S = 1.0
HUNG_S = 60.0  # what takes this long hangs, however busy the machine is
PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/", str(Path.home()), ".")
PR_SET_CHILD_SUBREAPER = 36

# One for each size of server. The second says what a program finds in a fresh interpreter.
CANARIES = (
    Call(program="def f(x): return x * 2 + 1", input="20"),
    Call(
        program="""
import builtins, json, math, random, sys
STATE = len(vars(builtins)), len(sys.modules), sys.getrecursionlimit(), math.pi, json.dumps([1]), len(sys.path), sys.argv
def f(): return (*STATE, print is builtins.print, random.Random(1).random(), type(1) is int, len('abc'))
""",
        input="",
    ),
)
# Its text must not be found by the programs after it.
MARKED = Call(program="import sys\nTEXT = 'azr_text_of_" + "another_program'\ndef f(): return 1\n#" + "x" * 20000, input="")


SPARE_DESCRIPTORS = 2


@dataclass(slots=True, kw_only=True)
class Arena:
    """A pool with all of its servers started."""

    executor: PythonExecutor
    servers: frozenset[int]
    num_descriptors: int
    healthy: tuple[str, ...]

    def run(self, attacks: Sequence[Attack]) -> list[str]:
        """All at once; what does not hold, and what is left behind."""
        start = monotonic()
        outcomes = self.executor.run([attack.call for attack in attacks])
        wall_s = monotonic() - start
        wrong = [text for attack, outcome in zip(attacks, outcomes, strict=True) if (text := attack.complaint(outcome))]
        if wall_s > HUNG_S + PATIENCE * TIMEOUT_S * sum(attack.waits for attack in attacks) / OLD:
            wrong.append(f"the attacks took {wall_s:.1f} s")
        return wrong + self.residue()

    def residue(self) -> list[str]:
        """What an attack left behind: a pool that does not serve, processes, files, descriptors."""
        start = monotonic()
        wrong = [f"canary {outcome}" for outcome in self.sick()]
        if monotonic() - start > HUNG_S:
            wrong.append("the pool hangs")
        return [*wrong, *self._processes(), *_files(), *self._descriptors()]

    def sick(self) -> list[Outcome]:
        outcomes = self.executor.run(CANARIES)
        return [outcome for outcome, due in zip(outcomes, self.healthy, strict=True) if outcome.output != due]

    def _processes(self) -> Iterator[str]:
        found = {process.pid: process for process in psutil.Process().children(recursive=True)}
        if set(found) != self.servers:
            yield f"processes {[found.get(pid, pid) for pid in set(found) ^ self.servers]}"

    def _descriptors(self) -> Iterator[str]:
        if num_descriptors() > self.num_descriptors + SPARE_DESCRIPTORS:
            yield f"{num_descriptors()} descriptors where there were {self.num_descriptors}"


def num_descriptors() -> int:
    """Of this whole process, in which other tests may have left threads that open some of their own: hence a spare few.

    A leak of one in a single attack still shows, as the suite is run several times over in one arena.
    """
    return len(os.listdir("/proc/self/fd"))


def _files() -> Iterator[str]:
    for place in filter(lambda place: os.access(place, os.R_OK), PLACES):
        yield from (f"file {place}/{name}" for name in os.listdir(place) if MARK in name)


def section(workers: int = 1) -> VerifiersSection:
    return VerifiersSection(workers=workers, timeout_s=TIMEOUT_S, memory_mb=256)


@contextmanager
def arena(*, chance: bool = True) -> Iterator[Arena]:
    """`chance`: with the servers of all worlds. Orphans of the pool become children of this process, and so are seen."""
    executor = PythonExecutor(section())
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        healthy = tuple(outcome.output for outcome in executor.run([*CANARIES, MARKED])[: len(CANARIES)])
        assert healthy[0] == "41"
        if chance:
            every_world = [
                Call(program=f"import {name}\ndef f(): return id(1) * 0", input="", deterministic=True)
                for name in ("math", "time")
            ]
            assert {outcome.output for outcome in executor.run(every_world)} == {"0"}
        servers = frozenset(process.pid for process in psutil.Process().children(recursive=True))
        yield Arena(executor=executor, servers=servers, num_descriptors=num_descriptors(), healthy=healthy)
    finally:
        executor.close()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
