"""The grammar of generated programs: typed operations on ints, strings and lists of ints that cannot fail.

An operation is a pattern over its operands; `{x}` and `{y}` are expressions of the types that it takes, `{c}` `{k}` `{t}`
`{a}` are constants that the generator draws: a number, a number from 2 to 4, a short string, one letter.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Type(StrEnum):
    INT = "int"
    TEXT = "str"
    LIST = "list"
    FILLED = "filled list"  # a list that is not empty


SAME = None  # gives the type that it takes


@dataclass(frozen=True, slots=True)
class Operation:
    """`takes` and `gives` are types; `also` is the type of `{y}` where there is one. A tight pattern needs no parentheses."""

    pattern: str
    takes: Type
    gives: Type | None
    tight: bool = False
    also: Type | None = None


_INT, _TEXT, _LIST, _FILLED = Type.INT, Type.TEXT, Type.LIST, Type.FILLED
OPERATIONS = (
    Operation("{x} + {c}", _INT, _INT),
    Operation("{x} - {c}", _INT, _INT),
    Operation("{c} - {x}", _INT, _INT),
    Operation("{x} * {k}", _INT, _INT),
    Operation("{x} // {k}", _INT, _INT),
    Operation("{x} % {k}", _INT, _INT),
    Operation("max({x}, {c})", _INT, _INT, tight=True),
    Operation("min({x}, {c})", _INT, _INT, tight=True),
    Operation("{x} + {y}", _INT, _INT, also=_INT),
    Operation("{x} - {y}", _INT, _INT, also=_INT),
    Operation("max({x}, {y})", _INT, _INT, tight=True, also=_INT),
    Operation("min({x}, {y})", _INT, _INT, tight=True, also=_INT),
    Operation("[{x}, {c}]", _INT, _FILLED, tight=True),
    Operation("[{x}, {y}]", _INT, _FILLED, tight=True, also=_INT),
    Operation("{x} + {t}", _TEXT, _TEXT),
    Operation("{t} + {x}", _TEXT, _TEXT),
    Operation("{x} * 2", _TEXT, _TEXT),
    Operation("{x}[::-1]", _TEXT, _TEXT, tight=True),
    Operation("{x}[1:]", _TEXT, _TEXT, tight=True),
    Operation("{x}[:{k}]", _TEXT, _TEXT, tight=True),
    Operation("{x}.upper()", _TEXT, _TEXT, tight=True),
    Operation("{x}.replace({a}, {t})", _TEXT, _TEXT, tight=True),
    Operation("len({x})", _TEXT, _INT, tight=True),
    Operation("{x}.count({a})", _TEXT, _INT, tight=True),
    Operation("{x}.find({a})", _TEXT, _INT, tight=True),
    Operation("{x} + {y}", _TEXT, _TEXT, also=_TEXT),
    Operation("{x}[:{y}]", _TEXT, _TEXT, tight=True, also=_INT),
    Operation("{x}[{y}:]", _TEXT, _TEXT, tight=True, also=_INT),
    Operation("{x}[::-1]", _LIST, SAME, tight=True),
    Operation("sorted({x})", _LIST, SAME, tight=True),
    Operation("[i + {c} for i in {x}]", _LIST, SAME, tight=True),
    Operation("[i * {k} for i in {x}]", _LIST, SAME, tight=True),
    Operation("[i for i in {x} if i > {c}]", _LIST, _LIST, tight=True),
    Operation("{x}[1:]", _LIST, _LIST, tight=True),
    Operation("{x}[:{k}]", _LIST, _LIST, tight=True),
    Operation("{x} + [{c}]", _LIST, _FILLED),
    Operation("[{c}] + {x}", _LIST, _FILLED),
    Operation("len({x})", _LIST, _INT, tight=True),
    Operation("sum({x})", _LIST, _INT, tight=True),
    Operation("{x}.count({c})", _LIST, _INT, tight=True),
    Operation("max({x})", _FILLED, _INT, tight=True),
    Operation("min({x})", _FILLED, _INT, tight=True),
    Operation("{x}[0]", _FILLED, _INT, tight=True),
    Operation("{x}[-1]", _FILLED, _INT, tight=True),
    Operation("{x} + [{y}]", _LIST, _FILLED, also=_INT),
    Operation("{x} + {y}", _LIST, SAME, also=_FILLED),
    Operation("{x}.count({y})", _LIST, _INT, tight=True, also=_INT),
    Operation("[i + {y} for i in {x}]", _LIST, SAME, tight=True, also=_INT),
)
CONDITIONS = {
    _INT: ("{x} > {c}", "{x} % 2 == 0"),
    _TEXT: ("len({x}) > {k}", "{a} in {x}"),
    _LIST: ("len({x}) > {k}", "sum({x}) > {c}"),
}
# Bodies of a loop over the parameter, with what `t` starts from.
LOOPS = {
    _TEXT: (
        ("''", "t = i + t"),
        ("''", "t += i + i"),
        ("''", "t += i + {a}"),
        ("''", "if i != {a}:\n            t += i"),
        ("0", "if i == {a}:\n            t += 1"),
    ),
    _LIST: (
        ("0", "t += i * {k}"),
        ("0", "t = i - t"),
        ("0", "if i > {c}:\n            t += i"),
        ("0", "if i % 2 == 0:\n            t += 1"),
        ("[]", "t = [i] + t"),
        ("[]", "if i > {c}:\n            t.append(i)"),
        ("[]", "t.append(i + {c})"),
    ),
}


def kind_of(given: Type) -> Type:
    return Type.LIST if given is Type.FILLED else given


def gives(operation: Operation, given: Type) -> Type:
    return operation.gives or given


@cache
def fitting(given: Type, binary: bool, wanted: Type | None) -> tuple[Operation, ...]:
    """The operations on a value of that type, with a second operand or without; `wanted`: those that give this kind."""
    return tuple(
        operation
        for operation in OPERATIONS
        if given in (operation.takes, Type.FILLED if operation.takes is Type.LIST else None)
        and (operation.also is not None) == binary
        and wanted in (None, kind_of(gives(operation, given)))
    )
