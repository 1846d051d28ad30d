"""Held-out problems of the Python family: its own evaluation suites, and the programs of evaluation files.

Fixed for all runs of the same options, whatever their seed. It owns what may not be proposed, generated or trained on.
"""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.python.generate import random_draft
from tasks.python.options import PythonOptions
from tasks.python.source import Limits, Program, read_program
from tasks.records import Draft, Kind

HELDOUT_SEED = 20_250_505  # never a run's seed
FILE_LIMITS = Limits()


class HeldOut:
    """Says of a draft whether it is held out.

    A draft of deduction or abduction is, when a suite of either kind has its program with its input: each gives the
    other's answer away. One of induction is, when its suite has the program with those inputs and that message. Of an
    evaluation file every program is, whatever its input.
    """

    def __init__(self, options: PythonOptions) -> None:
        self.suites: Mapping[str, Sequence[Draft]] = heldout_suites(options)
        drafts = [draft for suite in self.suites.values() for draft in suite]
        self._tasks = frozenset(draft.fingerprint for draft in drafts)
        self._pairs = frozenset((draft.normal, draft.inputs[0]) for draft in drafts if draft.kind is not Kind.INDUCTION)
        self._programs = frozenset(program for name in options.heldout_files for program in file_programs(Path(name)))

    def __contains__(self, draft: Draft) -> bool:
        pair = (draft.normal, draft.inputs[0])
        shown = draft.kind is not Kind.INDUCTION and pair in self._pairs
        return shown or draft.fingerprint in self._tasks or draft.normal in self._programs


def heldout_suites(options: PythonOptions) -> dict[str, tuple[Draft, ...]]:
    """By suite name; those of no tasks are left out."""
    counts = {
        Kind.DEDUCTION: options.heldout_deduction,
        Kind.ABDUCTION: options.heldout_abduction,
        Kind.INDUCTION: options.heldout_induction,
    }
    return {kind.value: _distinct(kind, count, options) for kind, count in counts.items() if count}


def _distinct(kind: Kind, count: int, options: PythonOptions) -> tuple[Draft, ...]:
    rng = random.Random(f"{HELDOUT_SEED}-{kind}")
    drafts: dict[str, Draft] = {}
    while len(drafts) < count:
        draft = random_draft(kind, options, rng)
        drafts.setdefault(draft.fingerprint, draft)
    return tuple(drafts.values())


def file_programs(path: Path) -> frozenset[str]:
    """The programs of a JSONL of objects with `code`, as dedup sees them. ValueError naming the file and line.

    A program that no proposal could hold (too long, other imports) needs no refusing and is passed over.
    """
    programs = set()
    try:
        with path.expanduser().open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                read = read_program(_code(line, f"{path} line {number}"), FILE_LIMITS)
                if isinstance(read, Program):
                    programs.add(read.normal)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"heldout_files must be readable JSONL files, got {path} ({error})") from error
    return frozenset(programs)


def _code(line: str, place: str) -> str:
    try:
        code = json.loads(line)["code"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"heldout_files: {place} must be a JSON object with code, got {line.strip()[:80]!r}") from error
    return str(code)
