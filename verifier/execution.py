"""What an executor is: it computes ground truth for one family of programs, and never raises for what a program does."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal, Protocol, cast

from configs.errors import ConfigError

GROUP = "absolute_zero_ray.executors"
Status = Literal["ok", "error", "timeout", "memory", "nondeterministic", "forbidden", "too_large_output"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running a program on one input gave: an output when the status is ok, else a short reason."""

    status: Status
    output: str = ""
    reason: str = ""


class Executor(Protocol):
    def run(self, program: str, inputs: Sequence[str]) -> list[Outcome]:
        """One outcome per input, in order. Bounded in time and memory; a failing program is an outcome, not an exception."""

    def same(self, left: str, right: str) -> bool:
        """Whether two outputs are the same value."""


def load_executor(name: str) -> Executor:
    """The executor of that name. Raises ConfigError for an unknown one."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(found))}"
        raise ConfigError(f"executor must be an installed executor, got {name}; {hint}")
    return cast(Executor, found[name].load()())
