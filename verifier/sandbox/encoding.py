"""How a value crosses from a child to the supervisor: JSON of tagged exact builtin types.

`encode` runs beside the hostile program: it looks at exact types only, so that a lying `__repr__`, `__eq__` or `__class__`
gains nothing, and it stops at bounds of size and depth. `decode` runs in the supervisor and takes nothing for granted: a
program may forge what it sends, which gains it no more than returning that value would.
"""

import re
from collections import Counter
from json.encoder import encode_basestring_ascii
from typing import Any

MAX_DEPTH = 64
EXACT = 10**15  # integers below are written as JSON numbers, others in hexadecimal
MAX_EQUAL_HASHES = 32  # in a set or dict; hostile values with equal hashes would take quadratic time to put together
_CONTAINERS: dict[str, type[Any]] = {"l": list, "t": tuple, "S": set, "F": frozenset}
_SURROGATE = re.compile("[\ud800-\udfff]")


class TooLarge(Exception):
    """The value exceeds the bounds; `reason` is `size` or `depth`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unsupported(Exception):
    """The value holds an object that is not of an exact builtin type; `name` is its type's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Encoder:
    """Writes one value as JSON text of at most `max_chars`; raises TooLarge or Unsupported.

    The text is built here and not by `json`: a fresh process pays for every page of memory that it touches first.
    """

    def __init__(self, max_chars: int) -> None:
        self._left = max_chars

    def encode(self, value: object, depth: int = 0) -> str:
        kind: type[Any] = type(value)
        if kind is str:
            return self._text(value)  # type: ignore[arg-type]
        if value is None or kind is bool:
            return {None: "null", True: "true", False: "false"}[value]  # type: ignore[index]
        if kind is int and -EXACT < value < EXACT:  # type: ignore[operator]
            self._spend(2)
            return int.__repr__(value)
        if kind is int or kind is float or kind is complex or kind is bytes:  # not `in`, which would ask the class
            return f'["{self._scalar(value)}"]'
        if depth >= MAX_DEPTH:
            raise TooLarge("depth")
        if kind is dict:
            self._spend(4 + 4 * len(value))  # type: ignore[arg-type]
            items: Any = dict.items(value)  # type: ignore[arg-type]
            return self._container("d", [self._pair(pair, depth + 1) for pair in items])
        tag = "l" if kind is list else "t" if kind is tuple else "S" if kind is set else "F" if kind is frozenset else None
        if tag is not None:
            self._spend(4 + len(value))  # type: ignore[arg-type]
            return self._container(tag, [self.encode(item, depth + 1) for item in kind.__iter__(value)])
        raise Unsupported(type.__dict__["__name__"].__get__(kind))

    def _text(self, value: str) -> str:
        self._spend(len(value))
        if value.isascii() or _SURROGATE.search(value) is None:
            return encode_basestring_ascii(value)
        self._spend(6 * len(value))  # JSON has no way to say two surrogates that are not one character
        return f'["s","{value.encode("utf-8", "surrogatepass").hex()}"]'

    def _pair(self, pair: tuple[object, object], depth: int) -> str:
        return f"[{self.encode(pair[0], depth)},{self.encode(pair[1], depth)}]"

    def _container(self, tag: str, parts: list[str]) -> str:
        return f'["{tag}",{",".join(parts)}]' if parts else f'["{tag}"]'

    def _scalar(self, value: object) -> str:
        self._spend(8)
        if type(value) is int:
            self._spend(value.bit_length() // 4)
            return f'i","{value:x}'
        if type(value) is float:
            return f'f","{value.hex()}'
        if type(value) is complex:
            return f'c","{value.real.hex()}","{value.imag.hex()}'
        assert type(value) is bytes
        self._spend(2 * len(value))
        return f'b","{value.hex()}'

    def _spend(self, chars: int) -> None:
        self._left -= chars
        if self._left < 0:
            raise TooLarge("size")


def decode(data: object, depth: int = 0) -> object:
    """The value, of exact builtin types, from the parsed text. Raises ValueError for what `Encoder` would not have written."""
    if data is None or isinstance(data, bool | str | int):
        return data
    if depth > MAX_DEPTH or not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise ValueError("not an encoded value")
    tag, *parts = data
    if tag == "d":
        return _decode_dict(parts, depth)
    if tag in _CONTAINERS:
        members = [decode(part, depth + 1) for part in parts]
        if tag in "SF":
            _check_hashes(members)
        return _CONTAINERS[tag](members)
    return _decode_scalar(tag, parts)


def _decode_dict(parts: list[object], depth: int) -> dict[object, object]:
    pairs = [part for part in parts if isinstance(part, list) and len(part) == 2]
    if len(pairs) < len(parts):
        raise ValueError("not a pair")
    keys = [decode(key, depth + 1) for key, _ in pairs]
    _check_hashes(keys)
    return dict(zip(keys, (decode(item, depth + 1) for _, item in pairs), strict=True))


def _check_hashes(members: list[object]) -> None:
    try:
        counts = Counter(map(hash, members))
    except TypeError as error:
        raise ValueError("unhashable member") from error
    if max(counts.values(), default=0) > MAX_EQUAL_HASHES:
        raise ValueError("too many equal hashes")


def _decode_scalar(tag: str, parts: list[object]) -> object:
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(parts) or len(texts) != (2 if tag == "c" else 1):
        raise ValueError("not a scalar")
    try:
        if tag == "i":
            return int(texts[0], 16)
        if tag == "f":
            return float.fromhex(texts[0])
        if tag == "c":
            return complex(float.fromhex(texts[0]), float.fromhex(texts[1]))
        if tag == "b":
            return bytes.fromhex(texts[0])
        if tag == "s":
            return bytes.fromhex(texts[0]).decode("utf-8", "surrogatepass")
    except OverflowError as error:
        raise ValueError("not a scalar") from error
    raise ValueError("unknown tag")
