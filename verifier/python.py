"""Ground truth for Python programs: every run in the sandbox, values compared as values.

A program must define `f`; an input is the text of its argument list; an output is the canonical literal of what `f` returned.
A run that must be deterministic is repeated in further worlds (hash seed and clock): two, or `MANY_WORLDS` where the
program touches what could tell worlds apart by chance only, such as the order of a small set.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from configs.system_sections import VerifiersSection
from tasks.python.literals import same_text
from tasks.python.source import is_unordered
from verifier.execution import Call, Outcome
from verifier.sandbox.pool import Job, Pool
from verifier.sandbox.protocol import MAX_TEXT_BYTES
from verifier.sandbox.results import Result

MANY_WORLDS = 8
_BY_CHANCE = re.compile(r"\b(?:random|time|datetime|id|hash|object|urandom|getrandbits|uuid|secrets|sys)\b")


class PythonExecutor:
    """Executor of the Python family, and of anything else whose tasks are Python functions."""

    def __init__(self, section: VerifiersSection) -> None:
        self._pool = Pool(section)
        self._max_chars = section.max_output_kb << 10

    def run(self, calls: Sequence[Call]) -> list[Outcome]:
        """Equal calls are run once: the attempts at a task often give the same answer."""
        unique = list(dict.fromkeys(calls))
        jobs = [Job(program=call.program, arguments=call.input, hash_seeds=_worlds(call)) for call in unique]
        outcomes = dict(zip(unique, map(self._outcome, self._pool.run(jobs)), strict=True))
        return [outcomes[call] for call in calls]

    def same(self, left: str, right: str) -> bool:
        return same_text(left, right)

    @staticmethod
    def num_runs(call: Call) -> int:
        """How many fresh processes an ok call takes."""
        return len(_worlds(call))

    def walls(self) -> dict[str, bool]:
        """Which of the kernel's walls stand on this machine."""
        return self._pool.walls()

    def close(self) -> None:
        self._pool.close()

    def _outcome(self, result: Result) -> Outcome:
        if result.status != "ok":
            return Outcome(result.status, reason=result.reason, detail=result.detail, wall_s=result.wall_s)
        if len(result.output) > self._max_chars:
            return Outcome("too_large_output", reason="size", wall_s=result.wall_s)
        return Outcome("ok", result.output, wall_s=result.wall_s)


def _worlds(call: Call) -> tuple[int, ...]:
    if not call.deterministic:
        return (1,)
    if len(call.program) + len(call.input) > MAX_TEXT_BYTES:  # refused by the pool, unread
        return (1,)
    many = _is_chancy(call.program) or _is_chancy(f"f({call.input})")
    return tuple(range(1, (MANY_WORLDS if many else 2) + 1))


@lru_cache(maxsize=1024)
def _is_chancy(text: str) -> bool:
    return _BY_CHANCE.search(text) is not None or is_unordered(text)
