"""Builds containers from literal members: sets, dicts, and the constructor spellings such as `set([1])`.

Owns what may be constructed by name: a table, so no call of anything else. Invariant: the cost is linear, even for
members that are chosen to share one hash; TypeError, ValueError and OverflowError are all that comes out.
"""

from collections.abc import Callable, Iterable, Sequence, Sized
from typing import cast

from tasks.python.tokens import LiteralError

_MAX_COLLISIONS = 32  # members with one hash: more are an attack, at quadratic cost


def members(values: Iterable[object]) -> set[object]:
    return set(mapping((value, None) for value in values))


def mapping(pairs: Iterable[tuple[object, object]]) -> dict[object, object]:
    """A dict, built without the quadratic cost of keys that are chosen to share one hash. TypeError for unhashable ones."""
    built: dict[object, object] = {}
    num_with_hash: dict[int, int] = {}
    for key, value in pairs:
        size = len(built)
        built[key] = value
        code = hash(key)
        if len(built) > size:
            num = num_with_hash[code] = num_with_hash.get(code, 0) + 1
            if num > _MAX_COLLISIONS:
                raise LiteralError("not_literal")
    return built


def _ordered(values: object = ()) -> list[object]:
    """The members of a literal whose order is that of its text."""
    if type(values) not in (list, tuple, dict, str, bytes):
        raise LiteralError("not_literal")
    return list(cast(Iterable[object], values))


def _any_order(values: object = ()) -> Iterable[object]:
    return cast(Iterable[object], values) if isinstance(values, set | frozenset) else _ordered(values)


def _dict(pairs: object = ()) -> dict[object, object]:
    if isinstance(pairs, dict):
        return dict(pairs)
    if not all(type(pair) in (list, tuple) and len(cast(list[object], pair)) == 2 for pair in _ordered(pairs)):
        raise LiteralError("not_literal")
    return mapping((key, value) for key, value in cast(Iterable[tuple[object, object]], pairs))


def num_members(values: Sequence[object]) -> int:
    """How many members a constructor copies from these arguments."""
    return sum(len(cast(Sized, value)) for value in values if type(value) in _SIZED)


def _float(value: object = 0.0) -> float:
    if type(value) not in (float, int, str):
        raise LiteralError("not_literal")
    return float(cast(float, value))


def _complex(real: object = 0.0, imaginary: object = 0.0) -> complex:
    if isinstance(real, str) or isinstance(imaginary, str):
        raise LiteralError("not_literal")
    return complex(_float(real), _float(imaginary))


_SIZED = (str, bytes, list, tuple, dict, set, frozenset)
CONSTRUCTORS: dict[str, Callable[..., object]] = {
    "list": _ordered,
    "tuple": lambda *values: tuple(_ordered(*values)),
    "set": lambda *values: members(_any_order(*values)),
    "frozenset": lambda *values: frozenset(members(_any_order(*values))),
    "dict": _dict,
    "float": _float,
    "complex": _complex,
}
