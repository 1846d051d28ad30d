"""Tokens of literal text: splits text into tokens and decodes numbers and strings.

Owns what one token means. Invariant: whatever the text, every function here is linear or nearly so, touches no global
state (no warnings filter, no digit limit, no shared decimal context) and raises ValueError only. It knows no nesting.
"""

import decimal
import re
import unicodedata
from decimal import Decimal

MAX_CHARS = 100_000  # of a literal's text
MAX_DEPTH = 64  # brackets around a value


class LiteralError(ValueError):
    """Text or a value that is no literal within bounds; `reason` is "syntax", "not_literal", "too_deep" or "too_long"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_STRING_PATTERN = r"""
    [bBuUrR]{0,2}(?:
        '''(?:[^'\\]++|\\.|'(?!''))*+'''  | \"\"\"(?:[^"\\]++|\\.|"(?!""))*+\"\"\"
      | '(?!'')(?:[^'\\\n]++|\\.)*+'      | "(?!"")(?:[^"\\\n]++|\\.)*+"
    )"""
# The last branch takes all that is left, so that text in which nothing fits is scanned once and not once per character.
_TOKENS = re.compile(
    rf"""(?:[ \t\f]|\#[^\n]*|\\\n)*+(
        (?:[0-9]|\.[0-9])(?:[eE][+-]|[0-9A-Za-z_.])*+
      | {_STRING_PATTERN}
      | [A-Za-z_][A-Za-z0-9_]*+
      | [][(){{}},:=+*\n-]
      | \Z
      | .+
    )""",
    re.VERBOSE | re.DOTALL,
)
_STRING = re.compile(r"([bBuUrR]*+)('''|\"\"\"|'|\")(.*)\2", re.DOTALL)
_WHOLE_STRING = re.compile(_STRING_PATTERN, re.VERBOSE | re.DOTALL)
_PREFIXES = frozenset({"", "r", "u", "b", "br", "rb"})
_DECIMAL = re.compile(r"[1-9](?:_?[0-9])*+|0(?:_?0)*+")
_HEX = "[0-9a-fA-F]"
_TEXT_ESCAPE = re.compile(
    rf"\\(\n|[0-7]{{1,3}}|x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}|N\{{[^}}]{{1,120}}\}}|.)", re.DOTALL | re.ASCII
)
_BYTES_ESCAPE = re.compile(rf"\\(\n|[0-7]{{1,3}}|x{_HEX}{{2}}|.)", re.DOTALL | re.ASCII)
_SIMPLE = {
    "\n": "",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_LEAF_DIGITS = 512  # below the least limit that sys.set_int_max_str_digits takes (640): int() and str() never refuse these
_LEAF_BITS = 1024


def split(text: str, *, multiline: bool) -> list[str]:
    """The tokens of `text`, then "". Comments and blanks are dropped, and newlines too where `multiline` or in brackets.

    Raises ValueError for what no Python source may hold: NUL and lone surrogates.
    """
    if "\0" in text:
        raise ValueError("NUL in source text")
    text.encode()  # UnicodeEncodeError, a ValueError, for a lone surrogate
    tokens: list[str] = _TOKENS.findall(text.replace("\r\n", "\n").replace("\r", "\n").strip(" \t\f\n"))
    if "\n" not in tokens:
        return tokens
    return [token for token in tokens if token != "\n"] if multiline else _outer_newlines(tokens)


def _outer_newlines(tokens: list[str]) -> list[str]:
    """Drops newlines inside brackets, and those before and after all else."""
    kept: list[str] = []
    depth = 0
    for token in tokens:
        depth += (token in "([{") - (token in ")]}") if len(token) == 1 else 0
        if token and (token != "\n" or (depth == 0 and kept)):
            kept.append(token)
    while kept and kept[-1] == "\n":
        kept.pop()
    return [*kept, ""]


def is_string(token: str) -> bool:
    return len(token) > 1 and token[-1] in "'\""


def read_number(token: str) -> int | float | complex:
    """The value of a number token, of any length. Raises ValueError."""
    if token[:2].lower() in ("0x", "0o", "0b"):
        return int(token, 0)
    if token[-1] in "jJ":
        return complex(0.0, float(token[:-1]))
    if "." in token or "e" in token or "E" in token:
        return float(token)
    if len(token) <= _LEAF_DIGITS:
        return int(token, 0)
    if not _DECIMAL.fullmatch(token):
        raise ValueError("not a number")
    return _whole(token.replace("_", ""))


def _whole(digits: str) -> int:
    """Halves the digits, because int() refuses long ones by a limit of the whole process and is quadratic."""
    if len(digits) <= _LEAF_DIGITS:
        return int(digits)
    low = len(digits) // 2
    scale: int = 10**low
    return _whole(digits[:-low]) * scale + _whole(digits[-low:])


def decimal_text(value: int) -> str:
    """`str(value)` for integers of any length; about n^1.6 in the number of digits."""
    if value.bit_length() <= _LEAF_BITS:
        return str(value)
    with decimal.localcontext() as context:  # of this thread only
        context.prec, context.Emax, context.Emin = decimal.MAX_PREC, decimal.MAX_EMAX, decimal.MIN_EMIN
        context.traps[decimal.Inexact] = True
        return str(_as_decimal(value, value.bit_length()))


def _as_decimal(value: int, num_bits: int) -> Decimal:
    if num_bits <= _LEAF_BITS:
        return Decimal(value)
    low = num_bits // 2
    high = _as_decimal(value >> low, num_bits - low)
    return high * Decimal(2) ** low + _as_decimal(value & ((1 << low) - 1), low)


def read_string(token: str) -> str | bytes:
    """The value of one string token. An unknown escape keeps its backslash, silently. Raises ValueError."""
    found = _STRING.fullmatch(token) if _WHOLE_STRING.fullmatch(token) else None
    if not found or (prefix := found[1].lower()) not in _PREFIXES:
        raise ValueError("not a string")
    body = found[3]
    if "b" in prefix:
        body.encode("ascii")  # UnicodeEncodeError, a ValueError
        return (body if "r" in prefix else _BYTES_ESCAPE.sub(_unescape_byte, body)).encode("latin-1")
    return body if "r" in prefix or "\\" not in body else _TEXT_ESCAPE.sub(_unescape, body)


def _unescape(found: re.Match[str]) -> str:
    escape = found[1]
    if (simple := _SIMPLE.get(escape)) is not None:
        return simple
    if escape[0] in "01234567":
        return chr(int(escape, 8))
    if escape[0] == "N" and len(escape) > 1:
        return _named(escape[2:-1])
    if escape in "xuUN":
        raise ValueError("truncated escape")
    return chr(int(escape[1:], 16)) if len(escape) > 1 else "\\" + escape


def _unescape_byte(found: re.Match[str]) -> str:
    escape = found[1]
    if escape == "x":
        raise ValueError("truncated escape")
    if escape[0] in "01234567":
        return chr(int(escape, 8) & 0xFF)
    return chr(int(escape[1:], 16)) if len(escape) > 1 else _SIMPLE.get(escape, "\\" + escape)


def _named(name: str) -> str:
    try:
        character = unicodedata.lookup(name)
    except KeyError as error:
        raise ValueError("unknown character name") from error
    if len(character) != 1:  # a named sequence, which string literals do not know
        raise ValueError("unknown character name")
    return character
