"""Programs of the mixed family as text, and the public phrases for them.

    a + b * c                     an integer expression, as in the arithmetic family
    count(3, a, b, c, d)          how many of the others equal the first      Count 3 in 3 1 3 5
    max(a, b), min(a, b, c)       the largest, the smallest                   Largest of 7 12, Smallest of 7 12 9

The language is the arithmetic one and a single call whose arguments are integer expressions. What a proposer writes and
the generator draws are the forms above: variables in order, and for `count` a number in the first place. Text is parsed
and checked, never run; computing values is the verifier's.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from tasks.arithmetic.expression import MAX_CHARS, VARIABLES, Expression, leaves, parse, render

COUNT = "count"
HEADS = {"max": "Largest", "min": "Smallest"}
_CALL = re.compile(rf"({COUNT}|{'|'.join(HEADS)}) ?\((.*)\)")
_PHRASE = re.compile(rf"(?:Count ([0-9]{{1,40}}) in|({'|'.join(HEADS.values())}) of)((?: [0-9]{{1,40}})+)")


class Sort(StrEnum):
    """What a program does, as break-downs name it."""

    ARITHMETIC = "arithmetic"
    COUNTING = "counting"
    COMPARISON = "comparison"


@dataclass(frozen=True, slots=True)
class Call:
    function: str  # count, max or min
    arguments: tuple[Expression, ...]  # two or more

    @property
    def text(self) -> str:
        """The normal form."""
        return f"{self.function}({', '.join(map(render, self.arguments))})"

    @property
    def variables(self) -> set[str]:
        return {leaf.text for argument in self.arguments for leaf in leaves(argument) if not leaf.is_number}


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase as it was read; `target` is what `count` looks for."""

    function: str
    target: int | None
    numbers: tuple[int, ...]


def parse_call(text: str) -> Call | None:
    """None when the text is not a call; it may still be an integer expression."""
    text = text.strip()
    found = _CALL.fullmatch(text) if len(text) <= MAX_CHARS else None
    if found is None:
        return None
    arguments = [parse(part) for part in found.group(2).split(",")]
    read = tuple(argument for argument in arguments if argument is not None)
    return Call(found.group(1), read) if len(read) == len(arguments) >= 2 else None


def sort_of(program: str) -> Sort:
    """By the program's head alone."""
    head = program.partition("(")[0].strip()
    return Sort.COUNTING if head == COUNT else Sort.COMPARISON if head in HEADS else Sort.ARITHMETIC


def list_program(function: str, target: int | None, num_items: int) -> str:
    """The program of a phrase over a list of `num_items` variables."""
    items = list(VARIABLES[:num_items])
    return f"{function}({', '.join(items if target is None else [str(target), *items])})"


def phrase(program: str, items: list[str]) -> str:
    """The public form of a list program, with the items in place of its variables."""
    call = parse_call(program)
    assert call is not None, f"a list program must parse: {program}"
    head = f"Count {render(call.arguments[0])} in" if call.function == COUNT else f"{HEADS[call.function]} of"
    return " ".join([head, *items])


def read_phrase(text: str) -> Phrase | None:
    found = _PHRASE.fullmatch(text.strip())
    if found is None:
        return None
    target, head, items = found.groups()
    numbers = tuple(int(part) for part in items.split())
    if target is not None:
        return Phrase(COUNT, int(target), numbers)
    return Phrase(next(function for function, word in HEADS.items() if word == head), None, numbers)
