"""What telemetry carries: one `StepRecord` per global step, with scalars and the rows of four tables.

`global_step` is the one master clock: it counts warm-start steps, seeding rounds and self-play steps in one sequence
and only ever grows, also over a resume. Scalar names are `group/kind/role` (for example `reward/deduction/solve`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    WARM_START = "warm_start"
    SEEDING = "seeding"
    SELF_PLAY = "self_play"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRow:
    step: int
    version: int
    kind: str
    role: str
    proposal_id: str
    references: str  # ids of the tasks that the prompt showed, with spaces between them
    prompt: str
    text: str
    status: str
    reason: str
    solve_rate: float | None  # None when it was never attempted
    reward: float | None
    advantage: float | None
    dropped: str = ""  # why it carried no gradient; empty where it was trained on


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    step: int
    version: int
    kind: str
    role: str
    attempt_id: str
    task_id: str
    prompt: str
    text: str
    status: str
    reason: str
    reward: float
    advantage: float
    num_tokens: int
    truncated: bool
    mean_logprob: float
    trained: bool
    dropped: str = ""  # why it carried no gradient; empty where it was trained on


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    step: int
    version: int
    kind: str
    role: str
    task_id: str
    program: str
    pairs: str
    origin: str
    difficulty: float
    solve_rate: float
    learnability: float
    fingerprint: str = ""  # of the task, as dedup and decontamination see it


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRow:
    step: int
    version: int
    kind: str
    role: str
    suite: str
    item: int
    prompt: str
    text: str
    expected: str
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time that something took."""

    name: str
    begin_s: float  # Unix time
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """Everything one global step has to say."""

    global_step: int
    phase: Phase
    step: int  # within the phase
    version: int  # policy version after the step
    scalars: Mapping[str, float]
    proposals: tuple[ProposalRow, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    tasks: tuple[TaskRow, ...] = ()
    evals: tuple[EvalRow, ...] = ()
    spans: tuple[Span, ...] = ()  # of the step and its stages; in the trace alone
