import importlib
import types
from collections.abc import Iterator

import pytest

from tasks.python.mentions import LEAKED_MODULES
from tasks.python.source import ALLOWED_IMPORTS, read_program
from tasks.records import Malformed


def function(body: str, parameters: str = "x", before: str = "") -> str:
    return before + f"def f({parameters}):\n" + "".join(f"    {line}\n" for line in body.split("\n"))


IMPORTS = (
    *(
        "import os",
        "import math, sys",
        "import os.path as math",
        "import math.sys",
        "import numpy",
        "import random",
        "import time",
    ),
    *("from . import a", "from math import *", "from enum import sys", "from typing import types", "from os import path"),
)
PRIVATE = (
    *("x.__class__", "__builtins__", "__import__('os')", "x.f.__globals__", "f.__code__", "f'{x.__dict__}'", "g(__class__=1)"),
    *("'{0.__class__}'.format(x)", "'__globals__'", "lambda __class__: 1", "x.__init__.__globals__"),
)
FORBIDDEN = (
    *(
        f"{name}(x)"
        for name in ("open", "eval", "exec", "compile", "input", "globals", "getattr", "id", "hash", "vars", "ｅｖａｌ")
    ),
    *("[eval for eval in x] + eval('1')", "[y for eval in eval('x') for y in eval]", "sorted(x, key=id)", "(lambda: dir)()"),
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((function(f"{line}\nreturn x"), "import") for line in IMPORTS if "*" not in line),
        *((function("return x", before=f"{line}\n"), "import") for line in IMPORTS),
        *((function(f"return {value}"), "import") for value in ("enum.sys", "x._sys", "dataclasses.builtins", "x.os")),
        *((function(f"return {value}"), "private_name") for value in PRIVATE),
        (function("x.__class__ = int\nreturn x"), "private_name"),
        (function("match x:\n    case int(__class__=y):\n        return y"), "private_name"),
        (function("return x", before="class A:\n    def __getattr__(self): pass\n"), "private_name"),
        (function("return x", before="from functools import _make_key\n"), "private_name"),
        *((function(f"return {value}"), "forbidden_name") for value in FORBIDDEN),
        (function("return A.y", before="class A:\n    if 0: eval = 1\n    y = eval('2')\n"), "forbidden_name"),
        (function("eval = 1\nclass A:\n    if 0: eval = 2\n    y = eval('2')\nreturn A.y"), "forbidden_name"),
        (function("return eval('1')", before="eval = 0\n"), "forbidden_name"),
        (function("global eval\nif 0: eval = 1\nreturn eval('2')"), "forbidden_name"),
        (function("def g(eval): pass\nreturn eval('1')"), "forbidden_name"),
        (function("return x", parameters="x, y=open('a')"), "forbidden_name"),
        (function("return x", parameters="x: eval('1')"), "forbidden_name"),
        (function("return x", before="@eval\ndef g(): pass\n"), "forbidden_name"),
    ],
)
def test_what_a_program_may_not_mention_is_refused_for_its_own_reason(text: str, reason: str) -> None:
    assert read_program(text) == Malformed(reason, well_formed=True)


def reachable() -> Iterator[tuple[str, str]]:
    """Modules that a program may reach from the allowed ones through attributes, and the way there."""
    pending = [(name, importlib.import_module(name)) for name in sorted(ALLOWED_IMPORTS)]
    seen = set()
    while pending:
        way, module = pending.pop()
        if module.__name__ in seen:
            continue
        seen.add(module.__name__)
        yield module.__name__, way
        for name, value in vars(module).items():
            if isinstance(value, types.ModuleType) and name not in LEAKED_MODULES:
                pending.append((f"{way}.{name}", value))


def test_allowed_modules_lead_to_no_other_module() -> None:
    known = ALLOWED_IMPORTS | {"_string", "_sre"}
    assert not [way for name, way in reachable() if name not in known and not name.startswith(("re.", "json."))]
