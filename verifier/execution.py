"""What an executor is: it computes ground truth for one family of programs, and never raises for what a program does."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal, Protocol, cast

from configs.errors import ConfigError
from configs.system_sections import VerifiersSection

GROUP = "absolute_zero_ray.executors"
Status = Literal["ok", "error", "timeout", "memory", "nondeterministic", "forbidden", "too_large_output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One run of a program on one input. `deterministic`: where its output could differ between runs, it must not."""

    program: str
    input: str
    deterministic: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave: an output when the status is ok, else a reason (a short code that telemetry counts) and a detail."""

    status: Status
    output: str = ""
    reason: str = ""
    detail: str = ""  # free text for a person, of the program's own making
    wall_s: float = 0.0


class Executor(Protocol):
    def run(self, calls: Sequence[Call]) -> list[Outcome]:
        """One outcome per call, in order. Bounded in time and memory; a failing program is an outcome, not an exception."""

    def same(self, left: str, right: str) -> bool:
        """Whether two outputs are the same value."""

    def close(self) -> None:
        """Ends what it holds (processes, files). A later `run` starts it anew."""


def load_executor(name: str, section: VerifiersSection) -> Executor:
    """The executor of that name, with its limits. Raises ConfigError for an unknown one."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(found))}"
        raise ConfigError(f"executor must be an installed executor, got {name}; {hint}")
    return cast(Executor, found[name].load()(section))
