"""What the stages did, as events of the ledger: who makes a request, reads, judges or trains tells it here, once.

    asked ──▶ admitted (proposals) | graded (attempts) ──▶ learned: trained or dropped, each with its reason

Serves the synchronous loop, which tells a stage at a time, and the pipeline, which tells whatever part of a step has come.
Nothing is decided here.
"""

from collections.abc import Iterable, Sequence

from buffers.ledger import Event, Ledger
from selfplay.judge import Judged
from selfplay.propose import Proposed
from selfplay.solve import Attempt
from tasks.records import Request, Role

SEEDED = "seeding"  # why proposals of the seeding phase are dropped: it has no gradients


class Accounts:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def asked(self, requests: Sequence[Request]) -> None:
        """Before they go to a generator; attempts after the admission of their task."""
        for role, event in ((Role.PROPOSE, Event.PROPOSED), (Role.SOLVE, Event.ATTEMPTED)):
            self._ledger.record(event, [request.attempt_id for request in requests if request.role is role])

    def admitted(self, proposed: Sequence[Proposed]) -> None:
        """The verifier's word, with what is refused as known."""
        held = [item.admission for item in proposed if item.admission.task is not None]
        refused = [item.admission for item in proposed if item.admission.task is None]
        self._ledger.record(Event.ADMITTED, [admission.proposal_id for admission in held])
        self._ledger.record_reasons(Event.REFUSED, {admission.proposal_id: admission.reason for admission in refused})

    def graded(self, attempts: Iterable[Attempt]) -> None:
        self._ledger.record(Event.JUDGED, [attempt.rollout.attempt_id for attempt in attempts])

    def learned(self, judged: Judged) -> None:
        """After the update."""
        names = [item.rollout.attempt_id for item in (*judged.proposals, *judged.attempts)]
        fates = list(zip(names, judged.fates, strict=True))
        self._ledger.record(Event.TRAINED, [name for name, fate in fates if not fate])
        self._ledger.record_reasons(Event.DROPPED, {name: fate for name, fate in fates if fate})

    def seeded(self, proposed: Sequence[Proposed]) -> None:
        """A round of the seeding phase, from first to last."""
        self._ledger.record(Event.PROPOSED, [item.rollout.attempt_id for item in proposed])
        self.admitted(proposed)
        self.dropped((item.rollout.attempt_id for item in proposed), SEEDED)

    def dropped(self, names: Iterable[str], reason: str) -> None:
        """Whatever they were waiting for: the generator died, the run ended, they are too stale."""
        self._ledger.record(Event.DROPPED, names, reason)

    def rest_dropped(self, reason: str) -> None:
        """All that is still on its way, at the end of a run."""
        self.dropped(list(self._ledger.unsettled()), reason)
