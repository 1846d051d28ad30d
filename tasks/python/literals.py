"""Values and argument lists as text: reads Python literals and compares them; nothing is evaluated.

Owns the meaning of literal text of the exact types int, float, complex, str, bytes, bool, None, list, tuple, dict, set
and frozenset. Invariant: the parsers raise LiteralError only, in bounded time and stack, whatever the text; all that
`render` writes reads back as the same value. It does not know programs, and calls nothing that a text names: `set([1])`
and the like are read by a table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from keyword import iskeyword
from typing import TypeVar, cast

from tasks.python.canonical import render, render_all, same
from tasks.python.constructors import CONSTRUCTORS, mapping, members, num_members
from tasks.python.tokens import MAX_CHARS, MAX_DEPTH, LiteralError, is_string, read_number, read_string, split

__all__ = [
    "MAX_CHARS",
    "MAX_DEPTH",
    "Arguments",
    "LiteralError",
    "parse_arguments",
    "parse_value",
    "render",
    "render_arguments",
    "same",
    "same_text",
]

Built = TypeVar("Built")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_CONSTANTS = {"None": None, "True": True, "False": False}
_FLOATS = {"nan": "nan", "inf": "inf"}
_IMAGINARY = {"nanj": "nan", "infj": "inf"}  # as in the repr of a complex number


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The arguments of one call: values in order, then (name, value) pairs."""

    positional: tuple[object, ...] = ()
    keywords: tuple[tuple[str, object], ...] = ()


def parse_value(text: str) -> object:
    """The one literal that `text` is; a bare `1, 2` is a tuple, as in Python. Raises LiteralError only."""
    reader = _Reader(text, multiline=False)
    value = reader.value(0)
    if reader.took(","):
        return (value, *reader.values("", 0))
    reader.expect("")
    return value


def parse_arguments(text: str) -> Arguments:
    """The argument list that `text` is: literals, then name=literal. Raises LiteralError only."""
    return _Reader(text, multiline=True).arguments("", 0)


def render_arguments(arguments: Arguments) -> str:
    """Canonical text of an argument list; raises as `render` does."""
    names = ["" for _ in arguments.positional] + [f"{name}=" for name, _ in arguments.keywords]
    return render_all(names, [*arguments.positional, *(value for _, value in arguments.keywords)])


def same_text(left: str, right: str) -> bool:
    """`same` of the two literals; False when either text is none."""
    try:
        return same(parse_value(left), parse_value(right))
    except LiteralError:
        return False


class _Reader:
    """Recursive descent over tokens; `depth` counts the brackets around."""

    def __init__(self, text: str, *, multiline: bool) -> None:
        if len(text) > MAX_CHARS:
            raise LiteralError("too_long")
        try:
            self.tokens = split(text, multiline=multiline)
        except ValueError as error:
            raise LiteralError("syntax") from error
        self.at = 0
        self.num_copied = 0

    def took(self, token: str) -> bool:
        found = self.tokens[self.at] == token
        self.at += found
        return found

    def expect(self, token: str) -> None:
        if not self.took(token):
            raise LiteralError("syntax")

    def value(self, depth: int) -> object:
        sign = self.tokens[self.at]
        if sign == "-" or sign == "+":
            self.at += 1
            value = _signed(sign, self.atom(depth))
        else:
            value = self.atom(depth)
        operator = self.tokens[self.at]
        if operator == "-" or operator == "+":
            self.at += 1
            return _sum(value, operator, self.atom(depth))
        return value

    def atom(self, depth: int) -> object:
        token = self.tokens[self.at]
        self.at += 1
        first = token[:1]
        try:
            if first in "0123456789." and first:
                return read_number(token)
            if is_string(token):
                return self.strings(token)
        except ValueError as error:
            raise LiteralError("syntax") from error
        if token in _CLOSING:
            if depth >= MAX_DEPTH:
                raise LiteralError("too_deep")
            return self.braces(depth + 1) if token == "{" else self.sequence(token, depth + 1)
        if token.isidentifier():
            return self.name(token, depth)
        raise LiteralError("not_literal" if token == "*" else "syntax")

    def strings(self, token: str) -> str | bytes:
        """Adjacent strings are one."""
        parts = [read_string(token)]
        while is_string(self.tokens[self.at]):
            parts.append(read_string(self.tokens[self.at]))
            self.at += 1
        texts = [part for part in parts if isinstance(part, str)]
        if texts and len(texts) < len(parts):
            raise LiteralError("syntax")
        return "".join(texts) if texts else b"".join(cast(list[bytes], parts))

    def name(self, token: str, depth: int) -> object:
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if token in CONSTRUCTORS and self.took("("):
            return self.constructed(token, depth + 1)
        if token in _FLOATS:
            return float(_FLOATS[token])  # a new object each: a set may hold several nan, as in Python
        if token in _IMAGINARY:
            return complex(0.0, float(_IMAGINARY[token]))
        raise LiteralError("not_literal")

    def constructed(self, name: str, depth: int) -> object:
        """`set([1, 2])` and the like; what they copy is bounded, for they nest."""
        if depth > MAX_DEPTH + 2:  # `complex(float('nan'), 0.0)` may stand in the deepest bracket
            raise LiteralError("too_deep")
        arguments = self.arguments(")", depth)
        self.num_copied += num_members(arguments.positional)
        if self.num_copied > MAX_CHARS:
            raise LiteralError("too_long")
        if arguments.keywords and name != "dict":
            raise LiteralError("not_literal")
        value = _built(CONSTRUCTORS[name], *arguments.positional)
        return cast(dict[object, object], value) | dict(arguments.keywords) if arguments.keywords else value

    def sequence(self, opening: str, depth: int) -> object:
        values = self.values(_CLOSING[opening], depth)
        if opening == "[":
            return values
        is_group = len(values) == 1 and self.tokens[self.at - 2] != ","
        return values[0] if is_group else tuple(values)

    def values(self, closing: str, depth: int) -> list[object]:
        """Values with commas between, up to the closing token."""
        values: list[object] = []
        while self.tokens[self.at] != closing:
            values.append(self.value(depth))
            if not self.took(","):
                break
        self.expect(closing)
        return values

    def braces(self, depth: int) -> object:
        if self.took("}"):
            return {}
        first = self.value(depth)
        if self.took(":"):
            return _built(mapping, [(first, self.value(depth)), *self.pairs(depth)])
        if self.took(","):
            return _built(members, [first, *self.values("}", depth)])
        self.expect("}")
        return _built(members, [first])

    def pairs(self, depth: int) -> list[tuple[object, object]]:
        pairs = []
        while self.took(",") and self.tokens[self.at] != "}":
            key = self.value(depth)
            self.expect(":")
            pairs.append((key, self.value(depth)))
        self.expect("}")
        return pairs

    def arguments(self, closing: str, depth: int) -> Arguments:
        positional: list[object] = []
        keywords: dict[str, object] = {}
        while (token := self.tokens[self.at]) != closing:
            if token.isidentifier() and self.tokens[self.at + 1] == "=":
                if iskeyword(token) or token in keywords:
                    raise LiteralError("syntax")
                self.at += 2
                keywords[token] = self.value(depth)
            elif keywords:
                raise LiteralError("syntax")
            else:
                positional.append(self.value(depth))
            if not self.took(","):
                break
        self.expect(closing)
        return Arguments(positional=tuple(positional), keywords=tuple(keywords.items()))


def _built(build: Callable[..., Built], *values: object) -> Built:
    """What cannot be built is no literal: an unhashable key, `float('x')`."""
    try:
        return build(*values)
    except LiteralError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise LiteralError("not_literal") from error


def _signed(sign: str, value: object) -> object:
    if type(value) not in (int, float, complex):
        raise LiteralError("not_literal")
    number = cast(complex, value)
    return -number if sign == "-" else number


def _sum(left: object, operator: str, right: object) -> object:
    """`1+2j` is the only sum that is a literal."""
    if type(left) not in (int, float) or not isinstance(right, complex):
        raise LiteralError("not_literal")
    try:
        return cast(float, left) + right if operator == "+" else cast(float, left) - right
    except OverflowError as error:
        raise LiteralError("not_literal") from error
