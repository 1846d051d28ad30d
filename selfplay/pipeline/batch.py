"""One training batch while it is under way: which proposals and attempts have come, and what may go on because of it.

Invariant: what is done with what has come does not depend on the order in which it came. Proposals of a kind are read in
their own order (slot by slot), so that quick completions, which are the short ones, are not preferred; the first admitted
ones, up to the plan's quota, are solved, each as soon as it is read; a kind is topped up from its buffer once it is settled.
Pure bookkeeping: asks nobody, and is touched by the event loop's thread only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from buffers.census import Census
from selfplay.propose import DUPLICATE, ProposalRequest, Proposed
from selfplay.solve import Attempt, Chosen, Solved
from selfplay.step_plan import StepPlan
from tasks.records import AdmissionStatus, Kind, Request, Rollout, Task


@dataclass(slots=True)
class Proposing:
    """The proposals of one kind. A slot is None until its rollout has come; `lost` are those that never will."""

    wanted: Sequence[ProposalRequest]
    rollouts: list[Rollout | None]
    lost: set[int] = field(default_factory=set)
    num_handed_out: int = 0
    num_read: int = 0
    proposed: list[Proposed] = field(default_factory=list)

    def next_in_order(self) -> list[tuple[ProposalRequest, Rollout]]:
        """What has come without a gap since the last call."""
        ready = []
        while self.num_handed_out < len(self.wanted):
            rollout = self.rollouts[self.num_handed_out]
            if rollout is not None:
                ready.append((self.wanted[self.num_handed_out], rollout))
            elif self.num_handed_out not in self.lost:
                break
            self.num_handed_out += 1
        return ready

    @property
    def is_read(self) -> bool:
        """Whether every proposal has been admitted, refused or lost."""
        return self.num_read + len(self.lost) == len(self.wanted)


@dataclass(slots=True)
class Solving:
    """One task and its attempts, slot by slot; `num_open` have neither a verdict nor are they lost."""

    task: Task
    requests: Sequence[Request]
    attempts: list[Attempt | None]
    num_open: int

    def solved(self) -> Solved:
        attempts = tuple(attempt for attempt in self.attempts if attempt is not None)
        return Solved(task=self.task, prompt=self.requests[0].prompt, attempts=attempts)


class OpenBatch:
    """The training batch of a plan, from its first request until it is complete. `mined`: ids of tasks."""

    def __init__(
        self,
        plan: StepPlan,
        wanted: Mapping[Kind, Sequence[ProposalRequest]],
        census: Mapping[Kind, Census],
        fresh: Sequence[Task] = (),
    ) -> None:
        self.plan = plan
        self.number = plan.step
        self.mined: frozenset[str] = frozenset()
        self.census = census
        self.fresh: list[Task] = list(fresh)  # all new tasks, also those that no attempt is made at
        self.fingerprints = {task.fingerprint for task in fresh}
        self._proposing = {kind: Proposing(items, [None] * len(items)) for kind, items in wanted.items()}
        self._slots = {item.request.task_id: slot for items in wanted.values() for slot, item in enumerate(items)}
        self._solving: dict[Kind, dict[str, Solving]] = {kind: {} for kind in wanted}
        self._chosen: set[str] = set()  # task ids that were handed out to be solved
        self._order: dict[Kind, list[str]] = {}  # task ids of settled kinds, in the synchronous loop's order

    @property
    def proposal_requests(self) -> list[Request]:
        return [item.request for kind in self._proposing.values() for item in kind.wanted]

    @property
    def is_complete(self) -> bool:
        """Every proposal read, every kind settled, every task begun, every attempt judged or lost."""
        read = all(kind.is_read for kind in self._proposing.values()) and len(self._order) == len(self._proposing)
        return read and all(
            task_id in self._solving[kind] and not self._solving[kind][task_id].num_open
            for kind, order in self._order.items()
            for task_id in order
        )

    def proposal_came(self, request: Request, rollout: Rollout | None) -> None:
        """None: it is lost."""
        proposing, slot = self._proposing[request.kind], self._slots[request.task_id]
        if rollout is None:
            proposing.lost.add(slot)
        else:
            proposing.rollouts[slot] = rollout

    def unread(self) -> list[tuple[ProposalRequest, Rollout]]:
        """Proposals that may be read now; each is handed out once."""
        return [item for kind in self._proposing.values() for item in kind.next_in_order()]

    def without_repeats(self, proposed: Sequence[Proposed]) -> list[Proposed]:
        """The first of equal tasks of a batch stays; within one call of the verifier this was seen to already."""
        return [self._refused(item) if self._is_repeat(item) else item for item in proposed]

    def read(self, proposed: Sequence[Proposed]) -> list[Task]:
        """Takes the verifier's word on what `unread` gave; the tasks that are to be solved because of it."""
        chosen: list[Task] = []
        for item in proposed:
            proposing = self._proposing[item.rollout.kind]
            proposing.proposed.append(item)
            proposing.num_read += 1
            task = item.admission.task
            if task is not None:
                self.fresh.append(task)
                self.fingerprints.add(task.fingerprint)
                if task.difficulty <= self.plan.hardest and self._num_new(task.kind) <= self.plan.quotas[task.kind].fresh:
                    chosen.append(task)
        self._chosen |= {task.task_id for task in chosen}
        return chosen

    def unsettled(self) -> list[Kind]:
        """Kinds that need a word on which buffered tasks they are topped up with: no more new ones will be solved."""
        return [kind for kind in self._proposing if kind not in self._order and self._has_its_new(kind)]

    def settle(self, kind: Kind, chosen: Chosen) -> list[Task]:
        """All that this kind solves, in order; returns those that were not handed out before."""
        self.mined |= chosen.mined
        self._order[kind] = [task.task_id for task in chosen.tasks]
        new = [task for task in chosen.tasks if task.task_id not in self._chosen]
        self._chosen |= {task.task_id for task in new}
        return new

    def begin(self, task: Task, requests: Sequence[Request]) -> None:
        self._solving[task.kind][task.task_id] = Solving(task, requests, [None] * len(requests), len(requests))

    def task(self, request: Request) -> Task:
        """What the attempt was made at."""
        return self._solving[request.kind][request.task_id].task

    def attempt_came(self, request: Request, attempt: Attempt | None) -> None:
        """None: it is lost."""
        solving = self._solving[request.kind][request.task_id]
        solving.attempts[request.attempt] = attempt
        solving.num_open -= 1

    def proposed(self) -> list[Proposed]:
        return [item for kind in self._proposing.values() for item in kind.proposed]

    def solved(self) -> list[Solved]:
        """Task by task, kind by kind, in the synchronous loop's order; without the attempts that were lost."""
        return [self._solving[kind][task_id].solved() for kind in self._proposing for task_id in self._order[kind]]

    def describe(self) -> str:
        """What is missing, for who waits for it."""
        unread = sum(len(item.wanted) - item.num_read - len(item.lost) for item in self._proposing.values())
        attempts = sum(item.num_open for item in self._works())
        return f"batch {self.number} ({unread} proposals and {attempts} attempts are open)"

    def _works(self) -> Iterator[Solving]:
        return (item for items in self._solving.values() for item in items.values())

    def _has_its_new(self, kind: Kind) -> bool:
        return self._proposing[kind].is_read or self._num_new(kind) >= self.plan.quotas[kind].fresh

    def _num_new(self, kind: Kind) -> int:
        """Of those that may be solved."""
        return sum(task.kind is kind and task.difficulty <= self.plan.hardest for task in self.fresh)

    def _is_repeat(self, item: Proposed) -> bool:
        task = item.admission.task
        return task is not None and task.fingerprint in self.fingerprints

    def _refused(self, item: Proposed) -> Proposed:
        refused = replace(item.admission, status=AdmissionStatus.REFUSED, reason=DUPLICATE, task=None)
        return replace(item, admission=refused)
