"""What programs may import in the sandbox, in two sizes: forking a small process is faster.

Pure modules of the standard library. There is no file system to import others from.
"""

import re
from typing import Literal

Size = Literal["small", "full"]
SMALL = (
    "math",
    "re",
    "collections",
    "collections.abc",
    "itertools",
    "functools",
    "operator",
    "string",
    "heapq",
    "bisect",
    "copy",
)
FULL = (
    *SMALL,
    *("typing", "types", "abc", "numbers", "enum", "dataclasses", "contextlib", "weakref", "array", "struct", "cmath"),
    *("fractions", "decimal", "statistics", "random", "time", "datetime", "_strptime", "calendar"),
    *("json", "textwrap", "unicodedata", "difflib", "hashlib", "binascii", "base64", "html", "pprint", "reprlib", "graphlib"),
    *("encodings.utf_16", "encodings.utf_32", "encodings.utf_7", "encodings.utf_8_sig", "encodings.cp1252", "encodings.cp437"),
    *("encodings.utf_16_le", "encodings.utf_16_be", "encodings.utf_32_le", "encodings.utf_32_be"),
    *(
        "encodings.ascii",
        "encodings.latin_1",
        "encodings.idna",
        "encodings.punycode",
        "encodings.rot_13",
        "encodings.hex_codec",
    ),
    *(
        "encodings.base64_codec",
        "encodings.raw_unicode_escape",
        "encodings.unicode_escape",
        "__future__",
        "keyword",
        "colorsys",
        "atexit",
    ),
)
# A whole line, or the rest of it may name more: `import math,\` goes on in the next.
_LINE = re.compile(r"^[ \t]*(?:import[ \t]+([\w.][\w., \t]*)(?![^;#\r\n])|from[ \t]+([\w.]+)[ \t]+import\b)", re.MULTILINE)
# What may need a module in other ways: imports elsewhere, code made from text, codecs, and the names of characters.
_MARKS = ("import", "exec(", "eval(", "encod", "decode", "utf", "UTF", "cp", "idna", "punycode", "\\N{")


def needed_size(program: str, arguments: str) -> Size:
    """Which server a program is for. A wrong guess would cost it an import, so anything unusual gets the full one."""
    names = {
        name.split()[0] for several, single in _LINE.findall(program) for name in (several or single).split(",") if name.strip()
    }
    if not names <= set(SMALL):
        return "full"
    return "small" if _is_plain(_LINE.sub("", program)) and _is_plain(arguments) else "full"


def _is_plain(text: str) -> bool:
    return text.isascii() and not any(mark in text for mark in _MARKS)
