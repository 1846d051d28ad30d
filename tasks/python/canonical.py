"""Canonical text of literal values, and equality by it; no method of a value is trusted.

Owns how a value is written. Invariant: the text depends on the value alone (not on the hash seed, not on identity), its
cost is bounded whatever is shared or cyclic in the value, and types are exact: a subclass is no literal.
"""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

from tasks.python.tokens import MAX_CHARS, MAX_DEPTH, LiteralError, decimal_text

_KEY_CHARS = 16 * MAX_CHARS  # what reads from MAX_CHARS of text may write more: `nan`, `[1,1]`
_MAX_BITS = 4 * MAX_CHARS  # of an integer: more than MAX_CHARS digits


def render(value: object) -> str:
    """Canonical text: dicts keep their order, members of sets are sorted by their text.

    Raises LiteralError for a value of another type ("not_literal"), nested deeper than MAX_DEPTH ("too_deep") or of more
    text than MAX_CHARS ("too_long").
    """
    return render_all([""], [value])


def render_all(names: Sequence[str], values: Sequence[object]) -> str:
    """The values with commas between, each after its name; raises as `render` does, for all of the text together."""
    writer = _Writer(MAX_CHARS, is_key=False)
    text = ", ".join([name + writer.text(value, 0) for name, value in zip(names, values, strict=True)])
    if len(text) > MAX_CHARS:
        raise LiteralError("too_long")
    return text


def same(left: object, right: object) -> bool:
    """Type-strict structural equality: True ≠ 1, 1 ≠ 1.0, (1,) ≠ [1], -0.0 ≠ 0.0, nan = nan; dict and set order free.

    Compares texts, so that no `__eq__` or `__hash__` of a value has a say. What is no literal is the same as nothing.
    """
    try:
        return _Writer(_KEY_CHARS, is_key=True).text(left, 0) == _Writer(_KEY_CHARS, is_key=True).text(right, 0)
    except LiteralError:
        return False


class _Writer:
    """Writes values within a budget of characters. A key has its dicts sorted and its integers in hexadecimal."""

    def __init__(self, max_chars: int, *, is_key: bool) -> None:
        self.left = max_chars
        self.is_key = is_key

    def text(self, value: object, depth: int) -> str:
        if isinstance(value, _SIZED) and len(value) > self.left:
            raise LiteralError("too_long")
        kind = type(value)
        if kind in _ATOMS:
            text = _ATOMS[kind](value)
        elif kind is int:
            text = self.whole(cast(int, value))
        else:
            self.spend(2)
            return self.container(value, depth)
        self.spend(len(text))
        return text

    def spend(self, num_chars: int) -> None:
        self.left -= num_chars
        if self.left < 0:
            raise LiteralError("too_long")

    def whole(self, value: int) -> str:
        if value.bit_length() > _MAX_BITS:
            raise LiteralError("too_long")
        return f"{value:#x}" if self.is_key else decimal_text(value)

    def container(self, value: object, depth: int) -> str:
        kind = type(value)
        if kind not in _CONTAINERS:
            raise LiteralError("not_literal")
        if not value:
            return _CONTAINERS[kind]
        inner = depth + 1 + (kind is frozenset)  # `frozenset({1})` has two brackets
        if inner > MAX_DEPTH:
            raise LiteralError("too_deep")
        if kind is dict:
            return self.mapping(cast(dict[object, object], value), inner)
        texts = [self.text(member, inner) for member in cast(Collection[object], value)]
        if kind is list:
            return f"[{', '.join(texts)}]"
        if kind is tuple:
            return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"
        members = "{" + ", ".join(sorted(texts)) + "}"
        return members if kind is set else f"frozenset({members})"

    def mapping(self, value: dict[object, object], depth: int) -> str:
        pairs = [f"{self.text(key, depth)}: {self.text(member, depth)}" for key, member in value.items()]
        return "{" + ", ".join(sorted(pairs) if self.is_key else pairs) + "}"


def _float_text(value: float) -> str:
    return repr(value) if math.isfinite(value) else f"float('{abs(value) if value != value else value}')"


def _complex_text(value: complex) -> str:
    """`(1+2j)` where that reads back; a zero with a sign, inf and nan get lost in the sum."""
    real, imaginary = value.real, value.imag
    reads_back = math.isfinite(real) and math.isfinite(imaginary)
    positive_zero = real == 0 and math.copysign(1, real) > 0 and math.copysign(1, imaginary) > 0
    if reads_back and (positive_zero or (real != 0 and imaginary != 0)):
        return repr(value)
    return f"complex({_float_text(real)}, {_float_text(imaginary)})"


_SIZED = (str, bytes, list, tuple, dict, set, frozenset)
_CONTAINERS: dict[type, str] = {
    list: "[]",
    tuple: "()",
    dict: "{}",
    set: "set()",
    frozenset: "frozenset()",
}  # and their text when empty
_ATOMS: dict[type, Callable[[Any], str]] = {
    bool: repr,
    str: repr,
    bytes: repr,
    float: _float_text,
    complex: _complex_text,
    type(None): repr,
}
