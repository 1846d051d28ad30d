"""Whether a run met a problem that it is examined by: in its buffers, in what it was trained on, in its warm start.

Every task of the three places is compared with every suite of the family, by fingerprint, and in those other kinds' forms of
a held-out problem that the family refuses as well (an abduction task that gives a deduction problem away). Then the family
itself is asked, where it can say (`is_heldout`): it may refuse more than its suites. Tasks that equal a problem up to the
order of operands are counted apart: they are no contamination. Reads the run's files; prints nothing.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from buffers.buffers import TaskBuffers
from buffers.ledger import FOLDER, Event
from buffers.ledger_files import read_records
from configs.errors import UserError
from configs.schema import RunConfig
from selfplay.protocols import Verifier
from selfplay.warm_start import redrawn_tasks, uses_stand_in
from tasks.family import Family
from tasks.records import Draft, Kind, Task, task_of
from telemetry.jsonl import folder, read_lines

BUFFERS, TRAINED, WARM_START = "buffers", "trained", "warm_start"
GIVES_AWAY = (Kind.DEDUCTION, Kind.ABDUCTION)  # each shows what the other hides


@runtime_checkable
class Guarding(Protocol):
    """A family that says which drafts it refuses as held out."""

    def is_heldout(self, draft: Draft) -> bool: ...


@runtime_checkable
class Likening(Protocol):
    """A family that knows of problems which are all but equal."""

    def likeness(self, draft: Draft) -> str:
        """The same text for drafts that differ in the order of operands only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A task that the run met."""

    place: str
    name: str
    draft: Draft
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    place: str
    name: str
    form: str  # the suite, and as which kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """`checked`, `alike`: distinct tasks by place."""

    num_heldout: int
    num_suites: int
    checked: Mapping[str, int]
    alike: Mapping[str, int]
    hits: tuple[Hit, ...]


def find_contamination(
    config: RunConfig, family: Family, verifier: Verifier, run_dir: Path, checkpoint: Path | None
) -> Contamination:
    """`checkpoint`: the newest one, whose buffers are read; None: there is none. UserError for files that cannot be read."""
    places: dict[str, Iterable[Seen]] = {BUFFERS: (), TRAINED: (), WARM_START: ()}
    if checkpoint is not None:
        places[BUFFERS] = _seen(BUFFERS, _buffered(config, checkpoint))
        places[TRAINED] = _trained(run_dir)
    if uses_stand_in(config):
        places[WARM_START] = _seen(WARM_START, redrawn_tasks(config, family, verifier))
    return compare(family, places)


def compare(family: Family, places: Mapping[str, Iterable[Seen]]) -> Contamination:
    suites = family.heldout()
    forms = forbidden_forms(family)
    likenesses = _likenesses(family)
    checked, alike, hits = Counter(dict.fromkeys(places, 0)), Counter(dict.fromkeys(places, 0)), []
    for place, tasks in places.items():
        for seen in {seen.fingerprint: seen for seen in tasks}.values():
            checked[place] += 1
            form = forms.get(seen.fingerprint) or ("the family refuses it" if _refuses(family, seen.draft) else "")
            if form:
                hits.append(Hit(place=place, name=seen.name, form=form))
            elif isinstance(family, Likening) and seen.draft.kind in GIVES_AWAY:
                alike[place] += family.likeness(seen.draft) in likenesses
    return Contamination(
        num_heldout=sum(map(len, suites.values())),
        num_suites=len(suites),
        checked=dict(checked),
        alike=dict(alike),
        hits=tuple(hits),
    )


def forbidden_forms(family: Family) -> dict[str, str]:
    """What may not be met, by fingerprint: each held-out problem, and as another kind where the family refuses that too."""
    forms: dict[str, str] = {}
    for suite, drafts in family.heldout().items():
        for draft in drafts:
            forms.setdefault(draft.fingerprint, suite)
            for kind in GIVES_AWAY:
                other = replace(draft, kind=kind)
                if draft.kind in GIVES_AWAY and _refuses(family, other):
                    forms.setdefault(other.fingerprint, f"{suite} as {kind}")
    return forms


def _likenesses(family: Family) -> frozenset[str]:
    if not isinstance(family, Likening):
        return frozenset()
    drafts = (draft for suite in family.heldout().values() for draft in suite)
    return frozenset(family.likeness(draft) for draft in drafts if draft.kind is Kind.DEDUCTION)


def _refuses(family: Family, draft: Draft) -> bool:
    return isinstance(family, Guarding) and family.is_heldout(draft)


def _buffered(config: RunConfig, checkpoint: Path) -> list[Task]:
    kinds = [Kind(name) for name in config.family.kinds]
    buffers = TaskBuffers(kinds, config.buffers.capacity)
    buffers.load(checkpoint / "buffers.json")
    return [task for kind, size in buffers.sizes().items() for task in buffers.sample(kind, size, 0)]


def _seen(place: str, tasks: Iterable[Task]) -> Iterator[Seen]:
    for task in tasks:
        draft = _draft(task.kind, task.program, [pair.input for pair in task.pairs], task.message)
        yield Seen(place=place, name=task.task_id, draft=draft, fingerprint=task.fingerprint)


def _trained(run_dir: Path) -> Iterator[Seen]:
    """The tasks of all trained attempts, from their rows. UserError where one has none."""
    records = read_records(run_dir / FOLDER)
    wanted = {task_of(name) for record in records if Event.TRAINED in record.words for name in record.ids if task_of(name)}
    rows: set[str] = set()
    for row in read_lines(folder(run_dir) / "tasks.jsonl"):
        if row["task_id"] in wanted:
            rows.add(row["task_id"])
            yield _row_seen(row)
    missing = sorted(wanted - rows)
    if missing:
        raise UserError(f"{run_dir}: trained task {missing[0]} has no row in tasks.jsonl ({len(missing)} such); `azr audit` it")


def _row_seen(row: Mapping[str, Any]) -> Seen:
    """Rows of earlier versions have no fingerprint: it is that of the draft then."""
    draft = _draft(Kind(row["kind"]), row["program"], [text for text, _ in json.loads(row["pairs"])])
    return Seen(place=TRAINED, name=row["task_id"], draft=draft, fingerprint=row.get("fingerprint") or draft.fingerprint)


def _draft(kind: Kind, program: str, inputs: Iterable[str], message: str = "") -> Draft:
    return Draft(kind=kind, program=program, inputs=tuple(inputs), message=message)
