"""The vocabulary: every record that passes between parts. Frozen; a stage returns new records, none is filled in later.

A task is a triplet (program, input, output) plus what is hidden. All three are text here: only a family knows how to
read them, and only the verifier computes outputs.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is hidden from the solver: the output, the input, or the program (arXiv 2505.03335, section 3.2)."""

    DEDUCTION = "deduction"
    ABDUCTION = "abduction"
    INDUCTION = "induction"


class Role(StrEnum):
    PROPOSE = "propose"
    SOLVE = "solve"


class Origin(StrEnum):
    """Where a task came from."""

    ZERO = "zero"  # the one triplet per kind that everything starts from
    GENERATED = "generated"  # by the family's own generator: seeding fallback, warm start
    PROPOSED = "proposed"  # by the model, admitted by the verifier
    HELDOUT = "heldout"  # evaluation only, refused as a proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One input and the output that the verifier computed for it."""

    input: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A well-formed proposal before the verifier has computed anything: it carries no answer."""

    kind: Kind
    program: str
    inputs: tuple[str, ...]
    message: str = ""
    normal: str = ""  # the program as dedup sees it, where that is not its own text

    @property
    def fingerprint(self) -> str:
        """Identity for dedup and decontamination; families normalise program and inputs before this."""
        text = "\x1f".join((self.kind, self.normal or self.program, self.message, *self.inputs))
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


HELDOUT = "heldout"  # the reason of a proposal that an evaluation suite holds back


@dataclass(frozen=True, slots=True)
class Malformed:
    """What a family's parser returns for text that it cannot read or does not allow, with a short reason code.

    `well_formed` tells a proposal that reads as one but breaks a rule (the smaller penalty) from one that does not read.
    """

    reason: str
    well_formed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An admitted task. Deduction and abduction have one pair; induction has several, the first `num_shown` visible."""

    task_id: str
    kind: Kind
    program: str
    pairs: tuple[Pair, ...]
    num_shown: int
    fingerprint: str
    origin: Origin
    step: int
    message: str = ""
    difficulty: float = 0.0


def attempt_id(task_id: str, step: int, attempt: int, role: Role) -> str:
    """Unique in a run. A task may be attempted again in a later step; a proposal is made once and is its own name."""
    return task_id if role is Role.PROPOSE else f"{task_id}@{step}#{attempt}"


def task_of(attempt_id: str) -> str:
    """The task that an attempt's id names."""
    return attempt_id.rpartition("@")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One completion to sample. `seed` is its own, so that batching and the number of generators cannot change it."""

    task_id: str
    attempt: int
    step: int
    kind: Kind
    role: Role
    prompt: str
    seed: int
    temperature: float  # 0 is greedy
    max_tokens: int

    @property
    def attempt_id(self) -> str:
        return attempt_id(self.task_id, self.step, self.attempt, self.role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """New weights that took over within a rollout: `first_token` is the first completion token that they sampled."""

    first_token: int
    version: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What a generator returns for a request: tokens, behaviour logprobs, and who made them with which weights.

    `policy_version` and `weight_fingerprint` are of the first token; `swaps` are the versions that took over later, in order.
    """

    task_id: str
    attempt: int
    step: int
    kind: Kind
    role: Role
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]  # with the end-of-sequence token when finish_reason is "stop"
    logprobs: tuple[float, ...]  # natural log of the behaviour policy's probability of each token, at `temperature`
    temperature: float
    text: str  # the completion without special tokens
    finish_reason: str  # "stop" or "length"
    policy_version: int
    weight_fingerprint: str
    sampler_id: str
    seed: int
    swaps: tuple[Swap, ...] = ()

    @property
    def attempt_id(self) -> str:
        return attempt_id(self.task_id, self.step, self.attempt, self.role)

    @property
    def versions(self) -> tuple[tuple[int, int], ...]:
        """(version, its first token) for every version that made its tokens."""
        return ((self.policy_version, 0), *((swap.version, swap.first_token) for swap in self.swaps))

    @property
    def truncated(self) -> bool:
        return self.finish_reason == "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The text of a proposer's completion, with what it was asked for."""

    proposal_id: str
    step: int
    kind: Kind
    text: str
    program: str = ""  # induction: the buffered program for which inputs were asked


class AdmissionStatus(StrEnum):
    ADMITTED = "admitted"
    BAD_FORMAT = "bad_format"  # does not parse: the format penalty
    REFUSED = "refused"  # parses, but is not admitted: the smaller penalty


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The verifier's word on a proposal. `task` is there exactly when the status is ADMITTED."""

    proposal_id: str
    status: AdmissionStatus
    reason: str  # a short code that telemetry counts: "ok", "syntax", "operand_range", "heldout", "duplicate", ...
    task: Task | None = None


class VerdictStatus(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"
    ILL_FORMED = "ill_formed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The text of a solver's completion for a task."""

    attempt_id: str
    task: Task
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verifier's word on an attempt. A timeout or a crash of the program is a verdict with a reason, never an exception."""

    attempt_id: str
    status: VerdictStatus
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One row of the learner's batch: a rollout with its reward and advantage.

    `trainable` is false for rollouts that are counted but carry no gradient (a completion cut by length, by config).
    """

    rollout: Rollout
    reward: float
    advantage: float
    trainable: bool = True
