"""The exactly-once ledger: what became of every proposal and every attempt of a run.

    proposal   proposed ──▶ admitted | refused(reason) ──▶ trained | dropped(reason)
    attempt    attempted ──▶ judged ──▶ trained | dropped(reason)
               whatever is not settled yet may be dropped(reason): too stale, its generator died, …
               or withdrawn: it was on its way when the run was resumed, and may be asked for again

A proposal's id is its task's; an attempt's id begins with the id of its task, which was admitted under that id or comes
from a buffer. Entries of different steps may interleave, and several threads may write. An event that cannot follow is a
bug and an assertion that names the id. Ids may not come again in a run: within one stretch between two seals that is
asserted here; over the whole run the audit sees it.

The journal lies in segments, one per stretch between two checkpoints. `seal` compacts the segment (each id once, with all
that happened to it) and begins the next; its number is the position that the checkpoint keeps. A ledger opened at a position
has forgotten what came after it: that is done again. Nothing here knows how work is done, or Ray.
"""

import threading
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from buffers.ledger_files import FIRST, Segment, read_carried, remove_from, seal_segment
from tasks.records import task_of

FOLDER = "ledger"  # in the run directory
Words = tuple[str, ...]  # events in order, each with its reason: "admitted", "dropped:stale"


class Event(StrEnum):
    PROPOSED = "proposed"
    ADMITTED = "admitted"
    REFUSED = "refused"
    ATTEMPTED = "attempted"
    JUDGED = "judged"
    TRAINED = "trained"
    DROPPED = "dropped"
    WITHDRAWN = "withdrawn"


OPENING = frozenset({Event.PROPOSED, Event.ATTEMPTED})
SETTLING = frozenset({Event.DROPPED, Event.WITHDRAWN})  # of what is on its way, wherever that is
FOLLOWS: Mapping[Event | None, frozenset[Event]] = {
    None: OPENING,
    Event.PROPOSED: frozenset({Event.ADMITTED, Event.REFUSED}) | SETTLING,
    Event.ADMITTED: frozenset({Event.TRAINED}) | SETTLING,
    Event.REFUSED: frozenset({Event.TRAINED}) | SETTLING,
    Event.ATTEMPTED: frozenset({Event.JUDGED}) | SETTLING,
    Event.JUDGED: frozenset({Event.TRAINED}) | SETTLING,
    Event.TRAINED: frozenset(),
    Event.DROPPED: OPENING,  # a resume asks again for the whole of a step that was not trained, with what was dropped of it
    Event.WITHDRAWN: OPENING,
}
SETTLED = frozenset({Event.TRAINED}) | SETTLING


def event_of(word: str) -> Event:
    return Event(word.partition(":")[0])


class Book:
    """The state machine: the events of each id, in memory. Illegal events are told, and change nothing.

    Few different histories cover all ids, so that each step from one to the next is thought about once (`_steps`).
    """

    def __init__(self, carried: Mapping[str, str] | None = None) -> None:
        """`carried`: the last word of each id that was not settled before."""
        self._carried = dict(carried or {})
        self._words: dict[str, Words] = {}
        self._steps: dict[tuple[Words, str | None, str], Words | None] = {}

    def apply(self, word: str, ids: Iterable[str]) -> list[str]:
        """The ids of which this event could not be true: it cannot follow, or its task was not admitted."""
        attempted = event_of(word) is Event.ATTEMPTED
        attemptable: dict[str, bool] = {}
        wrong = []
        for name in ids:
            after = self._after(name, word)
            if attempted:
                task = task_of(name)
                if task not in attemptable:
                    attemptable[task] = self._may_attempt(task)
                after = after if attemptable[task] else None
            if after is None:
                wrong.append(name)
            else:
                self._words[name] = after
        return wrong

    def last(self, name: str) -> str | None:
        """The newest word on this id; None for one that is not known, or was settled and forgotten."""
        words = self._words.get(name)
        return words[-1] if words else self._carried.get(name)

    def unsettled(self) -> dict[str, str]:
        """The last word of each id that is still on its way."""
        found = {name: word for name, word in self._carried.items() if name not in self._words}
        for words, names in self.chains().items():
            if event_of(words[-1]) not in SETTLED:
                found |= dict.fromkeys(names, words[-1])
        return found

    def chains(self) -> dict[Words, list[str]]:
        """The ids by all that happened to them, admissions before attempts: the same events in fewer words."""
        found: dict[Words, list[str]] = {}
        for name, words in self._words.items():
            found.setdefault(words, []).append(name)
        return dict(sorted(found.items(), key=lambda item: Event.ATTEMPTED in map(event_of, item[0])))

    def _after(self, name: str, word: str) -> Words | None:
        """The id's history with this word; None where it cannot follow."""
        before = self._words.get(name, ())
        step = (before, None if before else self._carried.get(name), word)
        if step not in self._steps:
            last = before[-1] if before else step[1]
            legal = event_of(word) in FOLLOWS[event_of(last) if last else None]
            self._steps[step] = (*before, word) if legal else None
        return self._steps[step]

    def _may_attempt(self, task: str) -> bool:
        """Tasks that are not known here come from a buffer."""
        events = [event_of(word) for word in (*filter(None, [self._carried.get(task)]), *self._words.get(task, ()))]
        said = [event for event in events if event in (Event.ADMITTED, Event.REFUSED, Event.WITHDRAWN)]
        return not events or said[-1:] == [Event.ADMITTED]


class Ledger:
    """The journal of one run, under `folder`. Everything after `position` is removed when it is opened."""

    def __init__(self, folder: Path, position: int = FIRST) -> None:
        """Raises UserError where what lies before the position is missing or damaged."""
        self._folder, self._position = folder, position
        carried = read_carried(folder, position)
        remove_from(folder, position)
        self._book = Book(carried)
        self._segment = Segment(folder, position)
        self._lock = threading.Lock()

    def record(self, event: Event, ids: Iterable[str], reason: str = "") -> None:
        """Journals that this happened to these, in order. It is in the file, though not yet on the disk, on return."""
        names = list(ids)
        if not names:
            return
        word = f"{event}:{reason}" if reason else event.value
        with self._lock:
            wrong = self._book.apply(word, names)
            assert not wrong, f"{wrong[0]} cannot be {word} after {self._book.last(wrong[0]) or 'nothing'} ({len(wrong)} such)"
            self._segment.append((word,), names)

    def record_reasons(self, event: Event, reasons: Mapping[str, str]) -> None:
        """`record` for ids with a reason each."""
        by_reason: dict[str, list[str]] = {}
        for name, reason in reasons.items():
            by_reason.setdefault(reason, []).append(name)
        for reason, names in by_reason.items():
            self.record(event, names, reason)

    def unsettled(self) -> dict[str, str]:
        """What is on its way, with its last word."""
        with self._lock:
            return self._book.unsettled()

    def withdraw(self) -> int:
        """After a resume: forgets what was on its way, so that it may be asked for again; how much that was."""
        names = list(self.unsettled())
        self.record(Event.WITHDRAWN, names)
        return len(names)

    def seal(self) -> int:
        """Compacts and syncs the segment and begins the next; returns its number, the position for the checkpoint."""
        with self._lock:
            carried = self._book.unsettled()
            self._segment.close()
            seal_segment(self._folder, self._position, list(self._book.chains().items()), carried)
            self._book = Book(carried)
            self._position += 1
            self._segment = Segment(self._folder, self._position)
            return self._position

    def close(self) -> None:
        self._segment.close()
