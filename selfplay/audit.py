"""The balance of a run, computed anew from what lies on its disk: the ledger, and the event files beside it.

    proposed + attempted = trained + dropped + in flight + lost          lost and duplicated must be 0

It trusts neither alone. Every record of the ledger goes through the state machine again; and up to the newest checkpoint,
the rows of the event files must be in the ledger and name the same as trained, and as many must have been trained as the
steps say. What a run that was killed did after that checkpoint is done again by its resume and is left out.
Reads only; prints nothing.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from buffers.ledger import FOLDER, SETTLED, Book, Event, event_of
from buffers.ledger_files import read_records
from configs.errors import UserError
from selfplay.checkpoint import RunState
from telemetry.jsonl import STEPS, folder, read_lines
from telemetry.status import RUNNING

FINISHED = "finished"
IDS = {"proposals": "proposal_id", "attempts": "attempt_id"}  # the event files of what the ledger accounts for


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """`events`: how many proposals and attempts had each; `reasons`: of refusals and drops, as "dropped:surplus".

    `lost` and `duplicated` name ids, `unequal` says where ledger and steps count differently.
    """

    events: Counter[Event]
    reasons: Counter[str]
    in_flight: int
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    unequal: str

    @property
    def holds(self) -> bool:
        return not (self.lost or self.duplicated or self.unequal)


def audit(run_dir: Path, status: str, state: RunState | None) -> Balance:
    """`status`: of the run as it is now; `state`: of its newest checkpoint. UserError for files that cannot be read."""
    ledger = run_dir / FOLDER
    if not ledger.is_dir():
        raise UserError(f"{run_dir} has no ledger, so it cannot be audited; it made no step yet, or is of an older version")
    auditor = _Auditor(run_dir, state)
    if status in (RUNNING, FINISHED):
        auditor.read(None)
    elif state is not None:  # the rest is done again
        auditor.read(state.ledger)
    return auditor.balance(finished=status == FINISHED)


class _Auditor:
    def __init__(self, run_dir: Path, state: RunState | None) -> None:
        self._run_dir, self._state = run_dir, state
        self._book = Book()
        self._lost: dict[str, None] = {}
        self._duplicated: dict[str, None] = {}
        self._unequal = ""

    def read(self, position: int | None) -> None:
        """The ledger up to a position (None: all of it), and on the way the event files up to the newest checkpoint."""
        compared = self._state is None
        for record in read_records(self._run_dir / FOLDER, position):
            if not compared and self._state is not None and record.segment >= self._state.ledger:
                self._compare(self._state)
                compared = True
            for word in record.words:
                for name in self._book.apply(word, record.ids):
                    known = self._book.last(name) is not None
                    (self._duplicated if known else self._lost)[name] = None
        if not compared and self._state is not None:
            self._compare(self._state)

    def balance(self, finished: bool) -> Balance:
        events: Counter[Event] = Counter()
        reasons: Counter[str] = Counter()
        unsettled = 0
        for words, names in self._book.chains().items():
            valid = _since_withdrawn(words)
            for word in valid:
                events[event_of(word)] += len(names)
                reasons.update({word: len(names)} if ":" in word else {})
            if valid and event_of(valid[-1]) not in SETTLED:
                unsettled += len(names)
                if finished:
                    self._lost |= dict.fromkeys(names)
        return Balance(
            events=events,
            reasons=reasons,
            in_flight=0 if finished else unsettled,
            lost=tuple(self._lost),
            duplicated=tuple(self._duplicated),
            unequal=self._unequal,
        )

    def _compare(self, state: RunState) -> None:
        """The ledger as it was sealed for this checkpoint, with the event files up to its global step."""
        rows: dict[str, bool] = {}
        for name, is_trained in _rows(self._run_dir, state.global_step):
            if name in rows:
                self._duplicated[name] = None
            rows[name] = is_trained
        trained = {name for words, names in self._book.chains().items() if words[-1] == Event.TRAINED for name in names}
        self._lost |= dict.fromkeys(name for name in rows if self._book.last(name) is None)
        self._lost |= dict.fromkeys(sorted(trained ^ {name for name, is_trained in rows.items() if is_trained}))
        told = _trained_by_steps(self._run_dir, state.global_step)
        if told != len(trained):
            self._unequal = f"{STEPS}.jsonl tells of {told} trained up to step {state.step}, the ledger of {len(trained)}"


def _since_withdrawn(words: tuple[str, ...]) -> tuple[str, ...]:
    """What was withdrawn was taken back: only what came after it counts."""
    begin = max((number + 1 for number, word in enumerate(words) if word == Event.WITHDRAWN), default=0)
    return words[begin:]


def _rows(run_dir: Path, last_step: int) -> Iterator[tuple[str, bool]]:
    """The id of each proposal and attempt, and whether it was trained on: a proposal has a reward exactly then."""
    for table, column in IDS.items():
        for line in read_lines(folder(run_dir) / f"{table}.jsonl"):
            if line["global_step"] <= last_step:
                yield line[column], bool(line.get("trained", line["reward"] is not None))


def _trained_by_steps(run_dir: Path, last_step: int) -> int:
    lines = read_lines(folder(run_dir) / f"{STEPS}.jsonl")
    return sum(int(line["scalars"].get("counts/trained", 0)) for line in lines if line["global_step"] <= last_step)
