import sys
from collections.abc import Iterator
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.system_sections import VerifiersSection
from tasks.python.source import ALLOWED_IMPORTS
from verifier.sandbox.modules import FULL, SMALL, needed_size
from verifier.sandbox.pool import Job, Pool

PLAIN = [name for name in FULL if not name.startswith("encodings.")]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(VerifiersSection(timeout_s=20, workers=1))
    yield pool
    pool.close()


def test_what_a_proposal_may_import_is_there() -> None:
    assert set(ALLOWED_IMPORTS) <= set(FULL)


def test_the_modules_are_of_the_standard_library_and_import_no_open_door() -> None:
    assert {name.split(".")[0] for name in FULL} <= sys.stdlib_module_names
    assert not {"os", "subprocess", "socket", "ctypes", "threading", "multiprocessing", "pathlib", "shutil"} & set(FULL)


@pytest.mark.parametrize("size", ["small", "full"])
def test_each_server_has_every_module_that_it_promises(pool: Pool, size: str) -> None:
    names = SMALL if size == "small" else FULL
    program = "\n".join([*(f"import {name}" for name in names), "def f(): return 1"])
    assert needed_size(program, "") == size
    [result] = pool.run([Job(program=program, arguments="")])
    assert (result.status, result.output, result.detail) == ("ok", "1", "")


SPELLINGS = [
    "import {m}",
    "import  {m}  as  x",
    "\timport math, {m}",
    "import math , {m} as x, re",
    "import math,\\\n  {m}",
    "import math as y,\\\n{m} as x",
    "import math \\\n , {m}",
    "import\\\n{m}",
    "import math\x0c, {m}",
    "import\x0c{m}",
    "import math; import {m}",
    "import math;import {m}; x = 1",
    "x = 1; import {m}",
    "import math # import {m}\nimport {m}  # {m}",
    "if True: import {m}",
    "try:\n import {m}\nexcept ImportError:\n raise",
    "from {m} import *",
    "from\t{m}\timport *",
    "from\\\n{m} import *",
    "from {m}\\\nimport *",
    "from math import sqrt; import {m}",
    "from math import (sqrt,\n  floor); from {m} import *",
    "import math\r\nimport {m}\r\n",
    "import math\rimport {m}\r",
    "class A:\n  import math,\\\n {m}",
    "__import__('{m}')",
    "x = __import__('{m}')",
    "exec('import {m}')",
    "exec('imp' + 'ort {m}')",
    "eval('__imp' + 'ort__(\"{m}\")')",
    "import builtins\nbuiltins.__import__('{m}')",
]


def indented(spelling: str, name: str) -> str:
    """At the left margin: the tab of one spelling is of a block."""
    text = spelling.format(m=name)
    return f"if True:\n{text}\n" if text.startswith("\t") else f"{text}\n"


@pytest.mark.parametrize("spelling", SPELLINGS, ids=ascii)
def test_a_program_whose_imports_exist_finds_them_however_they_are_spelled(pool: Pool, spelling: str) -> None:
    names = ["random", "decimal", "math", "encodings.rot_13"]
    jobs = [Job(program=indented(spelling, name) + "def f(): return 1", arguments="") for name in names]
    results = pool.run(jobs)
    assert [(result.status, result.detail) for result in results] == [("ok", "")] * len(names)


@given(st.lists(st.tuples(st.sampled_from(SPELLINGS), st.sampled_from(PLAIN)), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mixture_of_imports_runs(pool: Pool, imports: list[tuple[str, str]]) -> None:
    program = "".join(indented(spelling, name) for spelling, name in imports)
    [result] = pool.run([Job(program=program + "def f(): return 1", arguments="")])
    assert (result.status, result.detail) == ("ok", "")


@pytest.mark.parametrize(
    ("body", "arguments", "output"),
    [
        ("return str(b'\\x80', 'cp1252')", "", "'€'"),
        ("return bytes('a', 'UTF-16-LE')", "", "b'a\\x00'"),
        ("return 'a'.encode('utf-16')[:2]", "", "b'\\xff\\xfe'"),
        ("return bytes('ab', 'latin-1')", "", "b'ab'"),
        ("return x", "__import__('decimal').Decimal(1) + 0 == 1", "True"),
        ("return x", "'\\N{BULLET}'", "'•'"),
        ("return '\\N{BULLET}'", "0", "'•'"),
        ("café = 2; return café", "0", "2"),
        ("import functools; return functools.singledispatch(lambda a: a)(3)", "0", "3"),
        ("import weakref, collections; weakref.finalize(collections.UserDict(), print); return 1", "0", "1"),
        ("import re; return re.findall('[[a]', 'a')", "0", "['a']"),
        ("import time; return time.strptime('2020', '%Y').tm_year", "0", "2020"),
        ("from datetime import datetime; return datetime.strptime('2020', '%Y').year", "0", "2020"),
        ("import collections; return collections.Counter('aab').most_common(1)", "0", "[('a', 2)]"),
        ("import hashlib; return hashlib.md5(b'').hexdigest()[:4] + hashlib.sha256(b'').hexdigest()[:4]", "0", "'d41de3b0'"),
    ],
)
def test_what_the_library_imports_by_itself_is_there_too(pool: Pool, body: str, arguments: str, output: str) -> None:
    lines = "\n  ".join(body.split("; "))
    [result] = pool.run([Job(program=f"def f(x=None):\n  {lines}", arguments=arguments)])
    assert (result.output, result.detail) == (output, "")


@pytest.mark.parametrize(
    "name", ["os", "socket", "subprocess", "ctypes", "threading", "no_such", "numpy", "configs", "json.no"]
)
def test_nothing_else_can_be_imported(pool: Pool, name: str) -> None:
    [result] = pool.run([Job(program=f"import {name}\ndef f(): return 1", arguments="")])
    assert (result.status, result.reason) == ("forbidden", "import")


@given(st.text(max_size=200), st.text(max_size=50))
def test_any_text_gets_one_of_the_two(program: str, arguments: str) -> None:
    assert needed_size(program, arguments) in ("small", "full")


@pytest.mark.parametrize(
    "text", ["import" + " " * 100_000 + "\\", "import a" * 20_000, "\n" * 100_000, "\t" * 100_000, "from " + "." * 100_000]
)
def test_a_long_text_is_read_in_no_time(text: str) -> None:
    started = monotonic()
    needed_size(text, text)
    assert monotonic() - started < 0.5
