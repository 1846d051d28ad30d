"""Random drafts of the Python family: for the seeding fallback, the warm start, control arms and the held-out suites.

Everything is drawn from the `random.Random` that is handed in. Programs are small functions that run on every input of
their types; nothing here runs them.
"""

import random
from dataclasses import dataclass
from functools import lru_cache

from tasks.python.grammar import CONDITIONS, LOOPS, Type, fitting, gives, kind_of
from tasks.python.options import PythonOptions
from tasks.python.source import Limits, Program, read_program
from tasks.records import Draft, Kind

TWO_STEPS = 0.3  # share of easy programs that are one operation on another
SECOND_PARAMETER = 0.25
NAMES = {Type.INT: "nm", Type.TEXT: "sr", Type.FILLED: "vw"}  # of the first and the second parameter
MAX_ITEM = 9  # of generated lists


@dataclass(frozen=True, slots=True)
class Expression:
    text: str
    type: Type
    tight: bool  # needs no parentheses inside another


def random_draft(kind: Kind, options: PythonOptions, rng: random.Random) -> Draft:
    drawn = _Writer(options, rng)
    program = drawn.program()
    inputs: dict[str, None] = {}
    while len(inputs) < (options.num_inputs if kind is Kind.INDUCTION else 1):
        inputs[drawn.input()] = None
    message = drawn.message() if kind is Kind.INDUCTION else ""
    return Draft(kind=kind, program=program, inputs=tuple(inputs), message=message, normal=_normal(program, options.limits))


@lru_cache(maxsize=2**14)
def _normal(program: str, limits: Limits) -> str:
    """Programs come again far more often than drafts do."""
    read = read_program(program, limits)
    assert isinstance(read, Program), f"a generated program must read: {program}"
    return read.normal


class _Writer:
    """Draws one program and inputs for it."""

    def __init__(self, options: PythonOptions, rng: random.Random) -> None:
        self._options, self._rng = options, rng
        self._types = [rng.choice((Type.INT, Type.TEXT, Type.FILLED))]
        self._gives = ""

    def program(self) -> str:
        if self._rng.random() < self._options.easy_share:
            body = self._expression_body()
        else:
            body = self._rng.choice((self._assignment_body, self._branch_body, self._loop_body))()
        names = ", ".join(self._name(number) for number in range(len(self._types)))
        return f"def f({names}):\n{body}"

    def input(self) -> str:
        return ", ".join(self._literal(kind) for kind in self._types)

    def message(self) -> str:
        """The types; a stand-in for a hint in words."""
        return f"{', '.join(map(kind_of, self._types))} to {self._gives}"

    def _expression_body(self) -> str:
        value = self._apply(self._parameter())
        if self._rng.random() < TWO_STEPS:
            value = self._apply(value)
        return f"    return {self._result(value)}"

    def _assignment_body(self) -> str:
        first = self._apply(self._parameter())
        value = self._apply(Expression("t", first.type, tight=True))
        return f"    t = {first.text}\n    return {self._result(value)}"

    def _branch_body(self) -> str:
        given = self._parameter()
        test = self._fill(self._rng.choice(CONDITIONS[kind_of(given.type)]), given)
        first = self._apply(given, second=False)
        other = self._apply(given, second=False, wanted=kind_of(first.type))
        return f"    if {test}:\n        return {first.text}\n    return {self._result(other)}"

    def _loop_body(self) -> str:
        if self._types[0] is Type.INT:
            self._types[0] = Type.FILLED
        start, pattern = self._rng.choice(LOOPS[kind_of(self._types[0])])
        given = self._parameter()
        self._gives = {"''": "str", "0": "int", "[]": "list"}[start]
        return f"    t = {start}\n    for i in {given.text}:\n        {self._fill(pattern, given)}\n    return t"

    def _parameter(self) -> Expression:
        return Expression(self._name(0), self._types[0], tight=True)

    def _name(self, number: int) -> str:
        """Programs of one type write their parameters in the same letters, in order."""
        return NAMES[self._types[number]][self._types[:number].count(self._types[number])]

    def _apply(self, value: Expression, second: bool = True, wanted: Type | None = None) -> Expression:
        """A random operation on it; at most one of a program's operations brings in a second parameter."""
        two = second and len(self._types) == 1 and self._rng.random() < SECOND_PARAMETER
        operation = self._rng.choice(fitting(value.type, two, wanted))
        other = ""
        if operation.also is not None:
            self._types.append(operation.also)
            other = self._name(1)
        return Expression(self._fill(operation.pattern, value, other), gives(operation, value.type), operation.tight)

    def _fill(self, pattern: str, value: Expression, other: str = "") -> str:
        text = value.text if value.tight or _stands_alone(pattern) else f"({value.text})"
        return pattern.format(
            x=text,
            y=other,
            c=self._rng.randint(1, MAX_ITEM),
            k=self._rng.randint(2, 4),
            t=repr("".join(self._rng.choices(self._options.letters, k=self._rng.randint(1, 2)))),
            a=repr(self._rng.choice(self._options.letters)),
        )

    def _result(self, value: Expression) -> str:
        self._gives = kind_of(value.type)
        return value.text

    def _literal(self, kind: Type) -> str:
        rng, options = self._rng, self._options
        if kind is Type.INT:
            return str(rng.randint(0, options.max_int))
        length = rng.randint(1, options.max_length)
        if kind is Type.TEXT:
            return repr("".join(rng.choices(options.letters, k=length)))
        return repr([rng.randint(0, MAX_ITEM) for _ in range(length)])


def _stands_alone(pattern: str) -> bool:
    """Whether `{x}` is between brackets or commas there, so that any expression may take its place."""
    return any(mark in pattern for mark in ("({x}", "[{x}", "in {x}]", "in {x} if"))
