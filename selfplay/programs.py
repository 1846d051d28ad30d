"""Completions that are programs: the code is found in the text, and set up with its tests as a program for the sandbox.

Owns the extraction rule and the harness. The completion stands in the harness as a string literal, so that it cannot reach
into the text around it; the tests run in a namespace of their own, with the builtins as they were before the completion
ran, on results that are copied into exact builtin types. The value that says "passed" is a nonce that the tests' side alone
returns. Completion and tests share a process all the same: what that leaves open is told in docs/evaluation.md.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FENCE = "```"
PYTHON_LABELS = ("python", "python3", "py")

# A raw continuation ends where one of these begins. A whole program may hold functions, classes and comments.
BODY_STOPS = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\nassert", "\n```")
PROGRAM_STOPS = ("\nprint", "\nif", "\nassert", '\n"""', "\n[DONE]", "\n```")

_HARNESS = '''\
import builtins
import collections
import sys

MAPS = (dict, collections.Counter, collections.defaultdict, collections.OrderedDict)


def f():
    run, trusted, tests, nonce = exec, dict(vars(builtins)), TESTS, NONCE
    checks = {"__builtins__": trusted, "MAPS": MAPS, "ENTRY_POINT": ENTRY_POINT}
    run(CHECKS, checks)
    solution = sys.modules["solution"] = type(sys)("solution")
    for source in SOURCES:
        run(source, solution.__dict__)
    run(tests, checks["space_of_tests"](solution.__dict__, trusted))
    return nonce


CHECKS = """
ATOMS = (type(None), bool, int, float, complex, str, bytes)
LISTS = (list, tuple, set, frozenset)
FUNCTION = type(lambda: None)


def space_of_tests(space, trusted):
    kept = {name: value for name, value in space.items() if type(name) is str and (name == ENTRY_POINT or name not in trusted)}
    guarded = {name: guard(value) if type(value) is FUNCTION else value for name, value in kept.items()}
    return {**guarded, ENTRY_POINT: guard(space[ENTRY_POINT]), "__builtins__": trusted, "__name__": "tests"}


def guard(function):
    return lambda *args, **words: plain(function(*args, **words))


def plain(value):
    kind = type(value)
    if any(kind is known for known in ATOMS):
        return value
    if any(kind is known for known in LISTS):
        return kind([plain(part) for part in value])
    if any(kind is known for known in MAPS):
        return {plain(key): plain(part) for key, part in dict.items(value)}
    raise TypeError("result is not of a builtin type")
"""
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTest:
    """What decides whether a completion's code is right.

    `entry_point`: the function that the tests call. `tests`: trusted source. `stub`: the function's head and docstring,
    which the code continues where it does not define the function itself; empty: it must. `preamble`: code before the
    function that it may build on.
    """

    entry_point: str
    tests: str
    stub: str = ""
    preamble: str = ""


def find_sources(text: str, test: ProgramTest) -> tuple[str, ...]:
    """The sources to run in turn: of the last Python fence, else of the text as a raw continuation of the prompt."""
    fenced = _last_fence(text)
    code = text if fenced is None else fenced
    whole = not test.stub or (_defines(code, test.entry_point) and code.lstrip("\n")[:1] not in (" ", "\t"))
    if fenced is None:
        code = _cut(code, PROGRAM_STOPS if whole else BODY_STOPS)
    return (test.preamble, code) if whole else (test.preamble + test.stub + code,)


def make_program(text: str, test: ProgramTest, nonce: str) -> str:
    """A program whose `f()` returns the nonce when the completion's code passes the tests, and fails otherwise."""
    return "\n".join(
        (
            _HARNESS,
            f"SOURCES = ({''.join(f'{_literal(source)}, ' for source in find_sources(text, test))})",
            f"TESTS = {_literal(test.tests)}",
            f"ENTRY_POINT = {test.entry_point!a}",
            f"NONCE = {nonce!a}",
        )
    )


def fence(code: str) -> str:
    """Code as a completion would give it."""
    return f"{FENCE}python\n{code}\n{FENCE}"


def _literal(source: str) -> str:
    """ASCII, a line of source to a line: an executor that looks for imports finds them at a word's beginning."""
    lines = "\n".join(f"    {line!a}" for line in source.splitlines(keepends=True))
    return f"(\n{lines or repr('')}\n)"


def _last_fence(text: str) -> str | None:
    """The last block labelled as Python, else the last block."""
    blocks = list(_blocks(text))
    labelled = [code for label, code in blocks if label in PYTHON_LABELS]
    return labelled[-1] if labelled else blocks[-1][1] if blocks else None


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Label and code of each fenced block. A labelled one that is not closed reaches to the end of the text."""
    label: str | None = None
    indent = ""
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if label is None and stripped.startswith(FENCE):
            label, indent, lines = stripped.removeprefix(FENCE).strip().lower(), line[: line.index(FENCE)], []
        elif label is not None and stripped == FENCE:
            yield label, "".join(lines)
            label = None
        else:
            lines.append(line.removeprefix(indent))
    if label:
        yield label, "".join(lines)


def _defines(code: str, name: str) -> bool:
    return (
        re.search(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(name)}\b|^{re.escape(name)}[ \t]*=", code, re.MULTILINE) is not None
    )


def _cut(text: str, stops: Sequence[str]) -> str:
    ends = [position for stop in stops if (position := text.find(stop)) >= 0]
    return text[: min(ends, default=len(text))]
