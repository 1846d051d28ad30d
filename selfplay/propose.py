"""The proposing stages: prompts from references, completions from the generator, admission by the verifier.

    buffers ──references──▶ prompts ──generator──▶ completions ──verifier──▶ admitted | refused(reason)

Each kind asks for as many prompts as its quota of new tasks, and `oversample` completions of each. Every refusal has a reason
code. A proposal harder than the step's bound is valid all the same: it is admitted with the reason "deferred", kept in the
buffer, and attempted once the bound has reached it. It earns nothing and costs nothing: a penalty would teach the
proposer to stay with what is easy, which is not what the bound is for, and an unmeasured task has no learnability.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

from configs.schema import RunConfig
from selfplay.protocols import Buffers, Generator, Verifier
from selfplay.step_plan import StepPlan
from tasks.family import Family
from tasks.records import HELDOUT, Admission, AdmissionStatus, Draft, Kind, Origin, Proposal, Request, Role, Rollout, Task
from tasks.seeds import derive_seed

# Reasons that are given here, not by the verifier.
DUPLICATE, KNOWN, TRUNCATED, DEFERRED = "duplicate", "known", "truncated", "deferred"
MAX_DRAWS = 50  # per task wanted of a generator that knows no bound


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRequest:
    """A request with what its prompt shows: the ids of the reference tasks and, for induction, the program."""

    request: Request
    program: str
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A proposer's completion and what became of it. `trainable`: false when it may carry no gradient.

    So it is with one that is held out: a penalty would teach the proposer, proposal by proposal, what the suites hold.
    """

    prompt: str
    rollout: Rollout
    admission: Admission
    trainable: bool
    references: tuple[str, ...] = ()

    @property
    def deferred(self) -> bool:
        """Admitted, but too hard for this step: nothing is known of its learnability."""
        return self.admission.task is not None and self.admission.reason == DEFERRED


class Known(Protocol):
    def known(self, fingerprints: Sequence[str]) -> list[bool]:
        """Which of these tasks are held already."""


def proposes(config: RunConfig) -> bool:
    """Whether the model proposes: not from a data set, and not where the family's generator stands in for it."""
    return config.mode == "selfplay" and config.proposer.source == "model"


def proposal_requests(
    config: RunConfig, family: Family, buffers: Buffers, kind: Kind, step: int, num_prompts: int, phase: str = "step"
) -> list[ProposalRequest]:
    """`num_prompts` prompts of one kind, each `oversample` times. Ids and seeds derive from (phase, step, kind, number)."""
    section = config.proposer
    seed = derive_seed(config.seed, phase, step, kind, "references")
    programs = buffers.programs(num_prompts, seed) if kind is Kind.INDUCTION else [""] * num_prompts
    references = buffers.references(kind, num_prompts, section.references, seed)
    prompts = [family.propose_prompt(kind, tasks, program) for tasks, program in zip(references, programs, strict=True)]
    return [
        ProposalRequest(
            request=Request(
                task_id=f"{phase}{step}-{kind}-{number}",
                attempt=0,
                step=step,
                kind=kind,
                role=Role.PROPOSE,
                prompt=prompts[number // section.oversample],
                seed=derive_seed(config.seed, phase, step, kind, "propose", number),
                temperature=section.temperature,
                max_tokens=section.max_tokens,
            ),
            program=programs[number // section.oversample],
            references=tuple(task.task_id for task in references[number // section.oversample]),
        )
        for number in range(num_prompts * section.oversample)
    ]


def propose(generator: Generator, wanted: Sequence[ProposalRequest]) -> list[Rollout]:
    return generator.generate([item.request for item in wanted])


def admit(
    config: RunConfig,
    verifier: Verifier,
    buffers: Known,
    wanted: Sequence[ProposalRequest],
    rollouts: Sequence[Rollout],
    hardest: float = inf,
) -> list[Proposed]:
    """The verifier's word on each completion, then what is known already (see `proposer.duplicates`), or harder than that."""
    proposals = [
        Proposal(proposal_id=rollout.task_id, step=rollout.step, kind=rollout.kind, text=rollout.text, program=item.program)
        for item, rollout in zip(wanted, rollouts, strict=True)
    ]
    admissions = [
        _cut(admission) if rollout.truncated else admission
        for admission, rollout in zip(verifier.admit(proposals), rollouts, strict=True)
    ]
    admissions = _mark_known(buffers, admissions, refuse=config.proposer.duplicates == "refuse")
    admissions = [
        replace(admission, reason=DEFERRED) if admission.task and admission.task.difficulty > hardest else admission
        for admission in admissions
    ]
    masked, trains = config.solver.truncated == "mask", config.proposer.train
    return [
        Proposed(
            prompt=item.request.prompt,
            rollout=rollout,
            admission=admission,
            trainable=trains and not (rollout.truncated and masked) and admission.reason != HELDOUT,
            references=item.references,
        )
        for item, rollout, admission in zip(wanted, rollouts, admissions, strict=True)
    ]


def admitted_tasks(proposed: Sequence[Proposed]) -> list[Task]:
    return [item.admission.task for item in proposed if item.admission.task is not None]


def random_tasks(config: RunConfig, plan: StepPlan, family: Family, verifier: Verifier) -> list[Task]:
    """What a proposer that knows nothing would propose: draws from the family's generator, as many as there are to be new.

    Fewer where nearly all that it draws is beyond the bound.
    """
    drafts: list[Draft] = []
    for kind, quota in plan.quotas.items():
        rng = random.Random(derive_seed(config.seed, "random_proposer", plan.step, kind))
        found = (_within(family, kind, rng, plan.hardest) for _ in range(quota.fresh))
        drafts += [draft for draft in found if draft is not None]
    admissions = verifier.build(drafts, Origin.GENERATED, plan.step, f"random{plan.step}")
    return [admission.task for admission in admissions if admission.task is not None]


def _within(family: Family, kind: Kind, rng: random.Random, hardest: float) -> Draft | None:
    draws = (family.generate(kind, rng) for _ in range(MAX_DRAWS))
    return next((draft for draft in draws if hardest == inf or family.difficulty(draft) <= hardest), None)


def _cut(admission: Admission) -> Admission:
    """A completion cut by length is never judged as if it were whole."""
    return replace(admission, status=AdmissionStatus.BAD_FORMAT, reason=TRUNCATED, task=None)


def _mark_known(buffers: Known, admissions: Sequence[Admission], refuse: bool) -> list[Admission]:
    """Within a batch the first of equal tasks stays; one that is buffered is refused, or stays with the reason KNOWN."""
    tasks = [admission.task for admission in admissions if admission.task is not None]
    known = dict(zip((task.fingerprint for task in tasks), buffers.known([task.fingerprint for task in tasks]), strict=True))
    seen: set[str] = set()
    result = []
    for admission in admissions:
        if admission.task is None:
            result.append(admission)
            continue
        fingerprint = admission.task.fingerprint
        repeated, buffered = fingerprint in seen, known[fingerprint]
        seen.add(fingerprint)
        if repeated or (buffered and refuse):
            admission = replace(admission, status=AdmissionStatus.REFUSED, reason=DUPLICATE, task=None)
        elif buffered:
            admission = replace(admission, reason=KNOWN)
        result.append(admission)
    return result
