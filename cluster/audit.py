"""`azr audit`: says whether a run lost or repeated anything, and whether it saw what it is examined by.

Reads the run directory, also of a run that is going on; writes nothing. Exit code 1 where the balance does not hold, or
where a held-out problem was met.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from buffers.ledger import Event
from cluster.console import complain, say, say_json
from configs.errors import UserError
from configs.loader import load_config
from selfplay.audit import FINISHED, Balance, audit
from selfplay.checkpoint import Checkpoints, RunState
from tasks.family import load_family
from telemetry.status import RUNNING, live_status, read_status
from verifier.verifier import FamilyVerifier

if TYPE_CHECKING:
    from selfplay.contamination import Contamination

SHOWN_IDS = 20


def audit_run(run_dir: Path, *, contamination: bool, as_json: bool) -> int:
    """Prints the verdict; the exit code."""
    if not (run_dir / "config.yaml").is_file():
        raise UserError(f"{run_dir} is not a run directory (no config.yaml); `azr runs` lists them")
    found = Checkpoints(run_dir, keep=1).newest()
    if contamination:
        return _audit_contamination(run_dir, found[0] if found else None, as_json)
    return _audit_balance(run_dir, found[1] if found else None, as_json)


def _audit_balance(run_dir: Path, state: RunState | None, as_json: bool) -> int:
    status = _status(run_dir)
    balance = audit(run_dir, status, state)
    say(f"{run_dir}: {status}, {_reach(status, state)}")
    for line in _balance_lines(balance):
        say(line)
    _name("lost", balance.lost)
    _name("duplicated", balance.duplicated)
    if balance.unequal:
        complain(balance.unequal)
    if as_json:
        counts = {event.value: balance.events[event] for event in Event if event is not Event.WITHDRAWN}
        say_json(
            {
                **counts,
                "lost": len(balance.lost),
                "duplicated": len(balance.duplicated),
                "in_flight": balance.in_flight,
                "unequal": balance.unequal,
                "status": status,
                "step": state.step if state else 0,
            }
        )
    return int(not balance.holds)


def _status(run_dir: Path) -> str:
    try:
        status = read_status(run_dir)
    except (OSError, ValueError) as error:
        raise UserError(f"{run_dir / 'status.json'} cannot be read ({error}); delete it and try again") from error
    if status is None:
        raise UserError(f"{run_dir} has not begun (no status.json); there is nothing to audit")
    return live_status(status)


def _reach(status: str, state: RunState | None) -> str:
    where = f"step {state.step}" if state else "its beginning"
    if status == RUNNING:
        return f"it is going on: the event files are compared up to {where}, the newest checkpoint"
    if status == FINISHED:
        return where
    return f"audited up to {where}, the newest checkpoint; what came after it is done again by a resume"


def _balance_lines(balance: Balance) -> list[str]:
    events = balance.events
    return [
        f"  proposals  {events[Event.PROPOSED]} proposed, {events[Event.ADMITTED]} admitted, {events[Event.REFUSED]} refused"
        + _reasons(balance.reasons, Event.REFUSED),
        f"  attempts   {events[Event.ATTEMPTED]} attempted, {events[Event.JUDGED]} judged",
        f"  of both    {events[Event.TRAINED]} trained, {events[Event.DROPPED]} dropped"
        + _reasons(balance.reasons, Event.DROPPED)
        + f", {balance.in_flight} in flight",
        f"  {len(balance.lost)} lost, {len(balance.duplicated)} duplicated",
    ]


def _reasons(reasons: Counter[str], event: Event) -> str:
    named = [(word.partition(":")[2], count) for word, count in reasons.most_common() if word.startswith(f"{event}:")]
    return f" ({', '.join(f'{reason} {count}' for reason, count in named)})" if named else ""


def _name(what: str, ids: Sequence[str]) -> None:
    for name in ids[:SHOWN_IDS]:
        complain(f"{what}: {name}")
    if len(ids) > SHOWN_IDS:
        complain(f"{what}: and {len(ids) - SHOWN_IDS} more")


def _audit_contamination(run_dir: Path, checkpoint: Path | None, as_json: bool) -> int:
    from selfplay.contamination import find_contamination  # with the warm start it imports torch

    config = load_config(str(run_dir / "config.yaml"))
    family = load_family(config.family.name, config.family.options)
    with closing(FamilyVerifier(config.family.name, config.family.options, config.verifiers)) as verifier:
        found = find_contamination(config, family, verifier, run_dir, checkpoint)
    say(f"{run_dir}: {found.num_heldout} held-out problems in {found.num_suites} suites")
    for line in _contamination_lines(found):
        say(line)
    _name("held out", [f"{hit.name} in {hit.place} ({hit.form})" for hit in found.hits])
    if as_json:
        say_json({"checked": dict(found.checked), "contaminated": _by_place(found), "alike": dict(found.alike)})
    return int(bool(found.hits))


def _contamination_lines(found: "Contamination") -> list[str]:
    hits = _by_place(found)
    return [
        f"  {place:<10} {count} distinct tasks, {hits[place]} held out, {found.alike[place]} alike up to the order of operands"
        for place, count in found.checked.items()
    ]


def _by_place(found: "Contamination") -> Mapping[str, int]:
    counts = Counter(hit.place for hit in found.hits)
    return {place: counts[place] for place in found.checked}
