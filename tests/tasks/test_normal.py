import ast
import json
from pathlib import Path

import pytest

from tasks.python.source import Program, read_program, strip_comments

CRUXEVAL = Path(__file__).resolve().parents[3] / "shared/data/cruxeval/cruxeval_first400.jsonl"


def read(text: str) -> Program:
    program = read_program(text)
    assert isinstance(program, Program), program
    return program


def function(body: str, parameters: str = "x", before: str = "") -> str:
    return before + f"def f({parameters}):\n" + "".join(f"    {line}\n" for line in body.split("\n"))


SAME = [
    function("y = x + 1\nreturn y"),
    function("b = a + 1\nreturn b", parameters="a"),
    function('"""Adds."""\ny   =   (x+1)  # one more\n\nreturn y'),
    function("y = x + 1\nreturn y", parameters="x: int"),
    "def f(total) -> int:\n\t'doc'\n\t'more'\n\tresult = total + 1\n\treturn (result)",
]
DIFFERENT = [
    function("y = x + 1\nreturn y"),
    function("y = 1 + x\nreturn y"),
    function("y = x + 2\nreturn y"),
    function("y = x + 1\nreturn x"),
    function("y = x + N\nreturn y", before="N = 1\n"),
    function("y = x + M\nreturn y", before="M = 1\n"),
    function("y = x + len\nreturn y"),
    function("y = x + '1'\nreturn y"),
    function("y = x + 1\nreturn y", parameters="x, z"),
    function("y = x + 1\nreturn y", parameters="x=1"),
    function("return [x for x in x]"),
    function("return [y for x in x]"),
    function("return [v0 for y in x]"),
]


def test_layout_comments_and_names_of_variables_do_not_make_another_program() -> None:
    assert len({read(text).normal for text in SAME}) == 1


def test_all_else_makes_another_program() -> None:
    assert len({read(text).normal for text in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (function("return g(key=x)", before="def g(key):\n    return key\n"), "key"),
        (function("list = [x]\nreturn list"), "list"),
        (function("class A:\n    field = x\nreturn A.field"), "field"),
        (function("global total\ntotal = x\nreturn total"), "total"),
        (function("count = 0\ndef g():\n    nonlocal count\n    count += x\ng()\nreturn count"), "count"),
        (function("import math as m\nreturn m.pi * x"), "m"),
    ],
)
def test_names_with_a_meaning_elsewhere_are_kept(text: str, kept: str) -> None:
    normal = ast.parse(read(text).normal)
    names = [value for node in ast.walk(normal) for _, value in ast.iter_fields(node) if isinstance(value, str)]
    assert kept in names


def test_stripping_removes_docstrings_and_comments_and_nothing_else() -> None:
    body = '"""Doc"""\n"more"\ny = "#no"  # two\nreturn y'
    text = function(body, before='"""Module."""\n# one\nclass A:\n    """Class."""\n')
    assert strip_comments(text).split() == function("y = '#no'\nreturn y", before="class A:\n    pass\n").split()
    assert strip_comments("no python at all") == "no python at all"
    unwritable = "def f(x):\n    # c\n    return " + "0x" + "f" * 5000
    assert strip_comments(unwritable) == unwritable


@pytest.mark.slow
@pytest.mark.skipif(not CRUXEVAL.exists(), reason="the CRUXEval rows are not beside this checkout")
def test_normal_forms_and_stripped_programs_of_cruxeval_compute_what_the_programs_do() -> None:
    """These programs are known to be harmless: they run here, so that a wrong renaming shows."""
    num_run = 0
    for row in map(json.loads, CRUXEVAL.read_text().splitlines()):
        program = read_program(row["code"])
        for text in (program.normal, strip_comments(row["code"])) if isinstance(program, Program) else ():
            space: dict[str, object] = {}
            exec(text, space)
            assert eval(f"repr(f({row['input']}))", space) == row["output"]
            num_run += 1
    assert num_run == 2 * 399
