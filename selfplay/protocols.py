"""The parts as the loop knows them. Each has a plain class that runs in this process and a shell that runs on Ray."""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from buffers.census import Census
from tasks.records import Admission, Answer, Draft, Kind, Origin, Proposal, Request, Rollout, Task, Trajectory, Verdict
from telemetry.records import StepRecord

if TYPE_CHECKING:
    from learner.weights import Publication  # which imports torch: whoever only reads a run's files does without


class Generator(Protocol):
    def generate(self, requests: Sequence[Request]) -> list[Rollout]:
        """One rollout per request, in the order of the requests."""

    def load(self, publication: "Publication") -> None:
        """Serve this version from now on; raises when the fingerprint of what arrived differs."""


class Verifier(Protocol):
    def admit(self, proposals: Sequence[Proposal]) -> list[Admission]:
        """Parse, check and compute each proposal; in order. Knows nothing of the buffers, so duplicates pass here."""

    def build(self, drafts: Sequence[Draft], origin: Origin, step: int, prefix: str) -> list[Admission]:
        """Compute drafts that no model wrote (seeds, warm start, held-out sets); ids are `prefix` and a number."""

    def grade(self, answers: Sequence[Answer]) -> list[Verdict]:
        """Judge each answer against its task; in order."""


class Snapshot(Protocol):
    """What a part was when it was taken, in host memory."""

    def write(self) -> None:
        """Writes it where it was taken for; may run in another thread while the part goes on."""


class Buffers(Protocol):
    def sample(self, kind: Kind, count: int, seed: int, hardest: float = inf) -> list[Task]:
        """Uniform without replacement over tasks no harder than that; fewer when the buffer holds fewer."""

    def failed(self, kind: Kind, count: int, seed: int, rate: float, hardest: float = inf) -> list[Task]:
        """Like `sample`, among the tasks whose newest solve rate is `rate` or lower."""

    def frontier(self, kind: Kind, count: int, seed: int, hardest: float = inf) -> list[Task]:
        """Like `sample`, but tasks that are sometimes solved come more often than those that always or never are."""

    def learnable(self, newest: int) -> dict[Kind, tuple[int, int]]:
        """Of each kind's newest tasks: how many are sometimes solved and sometimes not, and how many were measured."""

    def references(self, kind: Kind, draws: int, count: int, seed: int) -> list[list[Task]]:
        """`draws` independent samples of `count` tasks: the references of as many proposer prompts, in one call."""

    def programs(self, count: int, seed: int) -> list[str]:
        """Programs drawn uniformly from deduction and abduction, with replacement: what induction proposes inputs for."""

    def known(self, fingerprints: Sequence[str]) -> list[bool]:
        """Which of these tasks are held already."""

    def add(self, tasks: Sequence[Task], solve_rates: Sequence[float | None]) -> list[bool]:
        """Which were new and are now held."""

    def record(self, solve_rates: Mapping[str, float]) -> None:
        """Newly measured solve rates, by fingerprint."""

    def census(self) -> Mapping[Kind, Census]:
        """What is held, counted by trait and by difficulty."""

    def sizes(self) -> dict[Kind, int]: ...

    def snapshot(self, path: Path) -> Snapshot:
        """What is held now, to be written to the file `path`."""

    def load(self, path: Path) -> None: ...


class Learner(Protocol):
    def update(self, batch: Sequence[Trajectory], lr: float) -> dict[str, float]:
        """One joint update at this learning rate; returns scalars (loss/*, mismatch/*, entropy, grad_norm, lr)."""

    def publish(self, version: int) -> "Publication": ...

    def snapshot(self, path: Path) -> Snapshot:
        """Weights, optimizer and RNGs, to be written to `path`/model (Hugging Face format) and `path`/trainer."""

    def load(self, path: Path) -> None: ...


class Telemetry(Protocol):
    def emit(self, record: StepRecord) -> None:
        """Takes one record; global steps must strictly grow."""
