"""Hostile and broken texts against the verifier for a given time: the supervisor must not raise once, nor stop to serve.

Each round makes a batch of programs with inputs: noise, real programs that were cut, spliced and changed, and programs
from random syntax trees. It goes through the executor, and through admission and grading of the Python family. What the
programs do is of no interest here; what is counted is exceptions, broken promises of a batch, and descriptors left open.
"""

import argparse
import ast
import json
import os
import random
import re
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, get_args

from configs.system_sections import VerifiersSection
from tasks.records import Answer, Kind, Origin, Pair, Proposal, Task
from verifier.execution import Call, Executor, Status
from verifier.verifier import FamilyVerifier

DATA = Path(__file__).resolve().parents[2] / "shared/data/cruxeval/cruxeval_first400.jsonl"
ROUND = 120  # cases that are run together
SECTION = VerifiersSection(workers=1, timeout_s=0.3, memory_mb=128)
PROOF = Call(program="def f(x):\n    return [x]", input="7", deterministic=True)
STATUSES = get_args(Status)

NAMES = ("f", "x", "a", "b", "self", "print", "len", "list", "int", "str", "dict", "set", "range", "open", "math", "__import__")
ODD = ("\x00", "'''", *'\ud800\udfffé\u202e\uff46\r\x0c\t\n\\"(){#\U0001f600')
VALUES = (0, 1, -1, 2**70, 1.5, float("inf"), 1j, "", "a\ud800", b"\x00", True, None, ...)
LITERALS = [
    "1",
    "[1, 2]",
    "'a'",
    "{'a': {1}}",
    "float('nan')",
    "-0.0",
    "x=1",
    "*[1]",
    "**{'x': 1}",
    "dict(a=1)",
    "lambda: 1",
    "1:2",
]
DEPTH = 5


@dataclass(slots=True)
class Report:
    """What a run of the fuzzer met. `problems`: exceptions and broken promises, with the round that they came in."""

    cases: int = 0
    wall_s: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Trees:
    """Random syntax trees of every kind, from the grammar that the classes of `ast` give in their docstrings."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def program(self) -> str:
        """Of what could be compiled, as a rule: most trees say something that Python refuses."""
        text = "def f(x=1, *a):\n    pass"
        for _ in range(self.rng.randint(1, 30)):
            tree = self.rng.choice([ast.stmt, ast.stmt, ast.expr])
            added = ("x = " if tree is ast.expr else "") + self.text(tree).strip().replace("\n", "\n    ")
            if self.rng.random() < 0.02 or (not added.startswith("return") and _compiles(f"{text}\n    {added}")):
                text = f"{text}\n    {added}"
        return f"{text}\n    return x"

    def text(self, kind: type[ast.AST]) -> str:
        """Source of a random tree; empty where it has none, as not every tree that the grammar allows does."""
        try:
            return ast.unparse(ast.fix_missing_locations(self.tree(kind, 0)))
        except (ValueError, TypeError, AttributeError, IndexError, KeyError, RecursionError):
            return ""

    def tree(self, kind: type[ast.AST], depth: int) -> ast.AST:
        kinds = kind.__subclasses__()
        if kinds and depth >= DEPTH:
            kinds = [each for each in kinds if each in (ast.Name, ast.Constant, ast.Pass, ast.MatchAs)] or kinds
        chosen = self.rng.choice(kinds) if kinds else kind
        found = re.search(rf"{chosen.__name__}\((.*?)\)", chosen.__doc__ or "", re.DOTALL)
        fields = found[1].split(", ") if found else []
        return chosen(**{name: self.value(text, depth + 1) for text, name in (each.split() for each in fields)})

    def value(self, text: str, depth: int) -> Any:
        name, count = text.rstrip("*?"), text[-1]
        make = {
            "identifier": lambda: self.rng.choice(NAMES),
            "constant": lambda: self.rng.choice(VALUES),
            "int": lambda: self.rng.choice([0, 0, -1, 1]),
            "string": lambda: None,
        }.get(name, lambda: self.tree(getattr(ast, name), depth))
        if count == "*":
            return [make() for _ in range(self.rng.choice([0, 1, 1, 2]) if depth < DEPTH else 1)]
        return None if count == "?" and self.rng.random() < 0.5 else make()


def _compiles(text: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(text, "", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


class Cases:
    """Programs with the texts of their inputs, from one seed."""

    def __init__(self, seed: int, rows: Sequence[tuple[str, str]]) -> None:
        self.rng = random.Random(seed)
        self.rows = rows
        self.trees = Trees(self.rng)

    def next(self) -> Call:
        deterministic = self.rng.random() < 0.3
        if self.rows and self.rng.random() < 0.3:
            program, text = self.rng.choice(self.rows)
            return Call(program=self.shuffled(program), input=text, deterministic=deterministic)
        program = self.rng.choice([self.noise, self.trees.program, self.mutant, self.splice])()
        return Call(program=program, input=self.arguments(), deterministic=deterministic)

    def arguments(self) -> str:
        text = ", ".join(self.rng.choices(LITERALS, k=self.rng.randint(0, 3)))
        makers: list[Callable[[], str]] = [
            lambda: text,
            lambda: self.changed(text),
            self.noise,
            lambda: self.trees.text(ast.expr),
        ]
        if self.rows:
            makers += [lambda: self.rng.choice(self.rows)[1], lambda: self.changed(self.rng.choice(self.rows)[1])]
        return self.rng.choice(makers)()

    def noise(self) -> str:
        size = self.rng.choice([0, 1, 5, 50, 500, 5000])
        if self.rng.random() < 0.5:
            return self.rng.randbytes(size).decode(self.rng.choice(["latin-1", "utf-8"]), "surrogateescape")
        return "".join(chr(self.rng.choice([self.rng.randrange(128), self.rng.randrange(0x110000)])) for _ in range(size))

    def mutant(self) -> str:
        return self.changed(self.real())

    def splice(self) -> str:
        first, second = self.real().splitlines(keepends=True), self.real().splitlines(keepends=True)
        return "".join(first[: self.rng.randint(0, len(first))] + second[self.rng.randint(0, len(second)) :])

    def real(self) -> str:
        return self.rng.choice(self.rows)[0] if self.rows else self.trees.program()

    def shuffled(self, text: str) -> str:
        """A few words and signs in the place of others: often a program still."""
        parts = re.findall(r"\s+|\w+|.", text)
        places = [at for at, part in enumerate(parts) if not part.isspace()]
        for _ in range(self.rng.randint(0, 3)):
            parts[self.rng.choice(places)] = parts[self.rng.choice(places)]
        return "".join(parts)

    def changed(self, text: str) -> str:
        for _ in range(self.rng.randint(1, 4)):
            start, end = sorted((self.rng.randint(0, len(text)), self.rng.randint(0, len(text))))
            patch = self.rng.choice(
                ["", text[start:end] * self.rng.randint(0, 3), self.rng.choice(ODD), self.rng.choice(NAMES)]
            )
            cut = self.rng.choice([text[:end], text[:start] + patch + text[end:], text[:start] + patch + text[start:]])
            text = cut[:20_000]
        return text


def read_rows(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(row["code"], row["input"]) for row in map(json.loads, lines)]


def fuzz(seed: int, seconds: float, rows: Sequence[tuple[str, str]], *, least: int = 1) -> Report:
    """Until the time is over, and `least` cases were run; what goes wrong is reported, and the next round goes on."""
    cases, report = Cases(seed, rows), Report()
    start = monotonic()
    with closing(FamilyVerifier("python", {"refuse_trivial": False}, SECTION)) as verifier:
        verifier.executor.run([PROOF])
        before = _num_descriptors()
        for number in range(sys.maxsize):
            if report.cases >= least and monotonic() - start >= seconds:
                break
            calls = [cases.next() for _ in range(ROUND)]
            try:
                report.problems += [f"round {number}: {problem}" for problem in _round(verifier, calls, report.statuses)]
            except Exception:  # noqa: BLE001 - finding one is what this is for
                report.problems.append(f"round {number}: {traceback.format_exc()}")
            report.cases += len(calls)
        open_files = _num_descriptors() - before
    if open_files > 2 * 8 * 2:  # the sockets of further servers: of eight worlds, in two sizes
        report.problems.append(f"{open_files} descriptors were left open")
    report.wall_s = monotonic() - start
    return report


def _round(verifier: FamilyVerifier, calls: Sequence[Call], statuses: Counter[str]) -> list[str]:
    """The promises that this batch broke."""
    outcomes = verifier.executor.run([*calls, PROOF])
    statuses.update(outcome.status for outcome in outcomes)
    texts = [_completion(call) for call in calls]
    kinds = [list(Kind)[number % len(Kind)] for number in range(len(texts))]
    proposals = [
        Proposal(proposal_id=str(number), step=0, kind=kind, text=text, program=PROOF.program)
        for number, (kind, text) in enumerate(zip(kinds, texts, strict=True))
    ]
    answers = [
        Answer(attempt_id=str(n), task=_task(kind), text=text) for n, (kind, text) in enumerate(zip(kinds, texts, strict=True))
    ]
    admissions, verdicts = verifier.admit(proposals), verifier.grade(answers)
    checks = {
        "a lost outcome": len(outcomes) == len(calls) + 1,
        "the proof failed": outcomes[-1].output == "[7]",
        "an unknown status": {outcome.status for outcome in outcomes} <= set(STATUSES),
        "a failure without a reason": all(outcome.reason for outcome in outcomes if outcome.status != "ok"),
        "an output that is no literal": all(
            _is_literal(verifier.executor, each.output) for each in outcomes if each.status == "ok"
        ),
        "a lost admission": [each.proposal_id for each in admissions] == [each.proposal_id for each in proposals],
        "a lost verdict": [each.attempt_id for each in verdicts] == [each.attempt_id for each in answers],
        "a server was lost": not any(outcome.reason == "server_lost" for outcome in outcomes),
    }
    return [problem for problem, holds in checks.items() if not holds]


def _is_literal(executor: Executor, text: str) -> bool:
    return executor.same(text, text)


def _completion(call: Call) -> str:
    contents = {"python": call.program, "input": call.input, "output": call.input, "message": call.input}
    blocks = "\n".join(f"```{label}\n{content}\n```" for label, content in contents.items())
    return f"<think>.</think> <answer>{blocks}</answer>"


def _task(kind: Kind) -> Task:
    pairs = tuple(Pair(input=str(number), output=f"[{number}]") for number in range(4))
    return Task(
        task_id="t",
        kind=kind,
        program=PROOF.program,
        pairs=pairs if kind is Kind.INDUCTION else pairs[:1],
        num_shown=2 if kind is Kind.INDUCTION else 1,
        fingerprint="",
        origin=Origin.ZERO,
        step=0,
    )


def _num_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_verifier", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=DATA, help="JSONL of code and input to mutate; without it trees stand in")
    options = parser.parse_args(argv)
    report = fuzz(options.seed, options.minutes * 60, read_rows(options.data) if options.data.is_file() else [])
    for problem in report.problems:
        sys.stderr.write(problem + "\n")
    figures = {
        "cases": report.cases,
        "cases_per_s": round(report.cases / report.wall_s, 1),
        "problems": len(report.problems),
        "statuses": dict(report.statuses.most_common()),
        "seed": options.seed,
        "minutes": options.minutes,
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.exit(bool(report.problems))


if __name__ == "__main__":
    main()
