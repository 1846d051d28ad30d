"""`azr verify`: runs a file of programs through the sandbox and says what each gave.

A line of the file is `{"id", "program", "input"[, "output"]}`; `program` (or `code`) defines `f`, `input` is the text of its
argument list, `output` a recorded value to compare with. A line of the answer is `{"id", "status", "output", "matches",
"reason", "wall_s"}`, in the order of the file. A line that cannot be read is told with its number; the others still run.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cluster.console import complain, say
from configs.errors import UserError
from configs.system_sections import VerifiersSection
from verifier.execution import Call, Outcome
from verifier.python import PythonExecutor

MAX_COMPLAINT = 400
BLOCK = 1000  # lines that are run together
PROGRAM_KEYS = ("program", "code")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the file. `problem`: why it cannot be run."""

    name: object
    call: Call
    recorded: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a case gave. `matches`: whether that is the recorded value; None where none is recorded."""

    case: Case
    outcome: Outcome
    matches: bool | None

    def line(self) -> str:
        outcome = self.outcome
        return json.dumps(
            {
                "id": self.case.name,
                "status": outcome.status,
                "output": outcome.output if outcome.status == "ok" else None,
                "matches": self.matches,
                "reason": outcome.reason + (f": {outcome.detail}" if outcome.detail else ""),
                "wall_s": round(outcome.wall_s, 6),
            }
        )

    @property
    def verdict(self) -> str:
        """The word that the summary counts it under."""
        if self.case.problem:
            return "unreadable"
        return "mismatched" if self.outcome.status == "ok" and self.matches is False else self.outcome.status


def verify_file(path: Path, section: VerifiersSection, *, check: bool) -> int:
    """The exit code: 1 where a line cannot be read, or with `check` where a recorded output is not what the program gives."""
    counts: Counter[str] = Counter()
    wrong = False
    with closing(PythonExecutor(section)) as executor:
        for answer in _answers(path, executor):
            counts[answer.verdict] += 1
            wrong |= bool(answer.case.problem) or (check and answer.matches is False)
            if answer.case.problem:
                complain(f"error: {path} {answer.case.problem}")
            if not check:
                say(answer.line())
            elif answer.matches is False:
                complain(_short(f"{answer.case.name}: {_found(answer.outcome)} where {answer.case.recorded} is recorded"))
    if check:
        say(": ".join([f"{counts.total()} cases", *_listed(counts)]))
    return int(wrong)


def _answers(path: Path, executor: PythonExecutor) -> Iterator[Answer]:
    cases = _cases(path)
    while block := list(islice(cases, BLOCK)):
        yield from _run(block, executor)


def _run(cases: Sequence[Case], executor: PythonExecutor) -> Iterator[Answer]:
    outcomes = iter(executor.run([case.call for case in cases if not case.problem]))
    for case in cases:
        outcome = Outcome("error", reason=case.problem) if case.problem else next(outcomes)
        matches = None
        if case.recorded is not None:
            matches = outcome.status == "ok" and executor.same(outcome.output, case.recorded)
        yield Answer(case=case, outcome=outcome, matches=matches)


def _cases(path: Path) -> Iterator[Case]:
    """Raises UserError where the file itself cannot be read."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _case(line, number)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path") from error


def _case(line: bytes, number: int) -> Case:
    nothing = Call(program="", input="")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Case(name=None, call=nothing, problem=f"line {number} must be a JSON object ({error})")
    if not isinstance(data, dict):
        return Case(name=None, call=nothing, problem=f"line {number} must be a JSON object, got {type(data).__name__}")
    name, recorded = data.get("id"), data.get("output")
    if not _is_json(name):
        return Case(name=None, call=nothing, problem=f"line {number}: id must be a JSON value")
    program: Any = next((data[key] for key in PROGRAM_KEYS if key in data), None)
    texts = {"program": program, "input": data.get("input"), "output": "" if recorded is None else recorded}
    wrong = next((key for key, text in texts.items() if not isinstance(text, str)), None)
    if wrong is not None:
        return Case(name=name, call=nothing, problem=f"line {number}: {wrong} must be a text, got {texts[wrong]!r:.60}")
    return Case(name=name, call=Call(program=program, input=data["input"], deterministic=True), recorded=recorded)


def _is_json(value: object) -> bool:
    """Whether it can be written again: Python reads NaN, 1e999 and deeper nesting than it writes."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return True


def _short(text: str) -> str:
    """One line for a terminal, whatever a file or a program says."""
    plain = text if text.isprintable() else ascii(text)
    return plain if len(plain) <= MAX_COMPLAINT else f"{plain[:MAX_COMPLAINT]}…"


def _listed(counts: Mapping[str, int]) -> list[str]:
    return [", ".join(f"{counts[name]} {name}" for name in sorted(counts, key=_rank))] if counts else []


def _found(outcome: Outcome) -> str:
    return outcome.output if outcome.status == "ok" else f"{outcome.status} ({outcome.reason})"


def _rank(name: str) -> int:
    order = ("ok", "mismatched", "error", "timeout", "memory", "nondeterministic", "forbidden", "too_large_output")
    return order.index(name) if name in order else len(order)
