import ast
import contextlib
import json
import random
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.python.literals import parse_arguments
from tasks.python.source import (
    Limits,
    Program,
    fits,
    is_unordered,
    read_program,
    strip_comments,
    trivial,
)
from tasks.records import Malformed

CRUXEVAL = Path(__file__).resolve().parents[3] / "shared/data/cruxeval/cruxeval_first400.jsonl"
needs_cruxeval = pytest.mark.skipif(not CRUXEVAL.exists(), reason="the CRUXEval rows are not beside this checkout")
REASONS = {
    *("too_long", "syntax", "top_level_statement", "no_function", "several_functions", "generator", "arguments", "import"),
    *("private_name", "forbidden_name"),
}
PIECES = [
    *("def f(x):\n", "    return x\n", "def g(y, *z):\n", "class A:\n", "import math\n", "from re import *\n", "    yield x\n"),
    *(
        "    for i in range(3):\n",
        "        x += 1\n",
        "x = 1\n",
        "f = 2\n",
        "lambda x: x",
        "[x for x in y]",
        "{x: y}",
        "(" * 50,
    ),
    *("1+" * 500, "-" * 200, "f'{x!r:>{y}}'", "'\\d'", "'''", '"', "\\", "#", "\t", "\0", "\ud800", "é", "async ", "await x\n"),
    *("    global f\n", "    nonlocal x\n", "match x:\n", "    case [a, *b]:\n", "x = " + "9" * 5000 + "\n", "0x" + "f" * 5000),
    *(
        "@f\n",
        "with a as b:\n",
        "    try:\n",
        "    except E as e:\n",
        "if x:\n",
        "else:\n",
        "del f\n",
        ":=",
        "->",
        "**",
        "\n",
        "    ",
    ),
]


def read(text: str) -> Program:
    program = read_program(text)
    assert isinstance(program, Program), program
    return program


def function(body: str, parameters: str = "x", before: str = "") -> str:
    return before + f"def f({parameters}):\n" + "".join(f"    {line}\n" for line in body.split("\n"))


def rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in CRUXEVAL.read_text().splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        function("return x"),
        function("import math\nreturn math.pi * x"),
        function(
            "return g(x)", before='"""Doc."""\nfrom collections import Counter as C\nN: int = 3\ndef g(x):\n    return x\n'
        ),
        function("return [_ for _ in range(x)]"),
        function("return P(x) == P(x)", before="class P:\n    def __init__(self, x):\n        self._x = self.__y = x\n"),
        function("return type(x).__name__ + x.__add__('b')"),
        function("def g():\n    yield x\nreturn list(g())"),
        function("print(x)\nreturn x"),
        function("return sum(hash[i] for i in input)", parameters="input, hash"),
        function("id = 1\ndef g():\n    return id\nreturn g() + x"),
        function("return [id for id in x if id]"),
        function("return (lambda open: open)(x)"),
        function("match x:\n    case {'a': id, **vars}:\n        return id, vars\nreturn None"),
        function("return abc.deque(x)", before="import collections.abc as abc\n"),
        function("return 'a__b__c' + x"),
        function("return x", before="from __future__ import annotations\n"),
    ],
)
def test_programs_of_these_shapes_are_read(text: str) -> None:
    assert read(text).text == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_function"),
        ("def g(x):\n    return x", "no_function"),
        ("f = lambda x: x", "no_function"),
        ("class f:\n    pass", "no_function"),
        ("class A:\n    def f(self):\n        return 1", "no_function"),
        ("def f(x) return x", "syntax"),
        ("def f(x):\n    return '\0'", "syntax"),
        ("def f(x):\n    return '\ud800'", "syntax"),
        (function("return " + "(" * 120 + "x" + ")" * 120), ""),
        (function("return " + "-" * 120 + "x"), "syntax"),
        (function("return " + "x+" * 3000 + "x"), "syntax"),
        (function("return " + "(" * 5000), "syntax"),
        (function("return x") * 2, "several_functions"),
        (function("return x") + "f = 1", "several_functions"),
        (function("return x") + "(a, [f, b]) = 1, [2, 3]", "several_functions"),
        (function("return x", before="from math import sqrt as f\n"), "several_functions"),
        (function("return x") + "class f:\n    pass", "several_functions"),
        ("async def f(x):\n    return x", "generator"),
        (function("yield x"), "generator"),
        (function("y = [(yield x)]\nreturn y"), "generator"),
        (function("return 1", parameters=""), "arguments"),
        (function("return a", parameters="*a"), "arguments"),
        (function("return a", parameters="x, **a"), "arguments"),
        (function("return x") + "print(f(1))", "top_level_statement"),
        (function("return x") + "if __name__ == '__main__':\n    f(1)", "top_level_statement"),
        (function("return x") + "del f", "top_level_statement"),
        (function("return x") + "1", "top_level_statement"),
        (function("return x", before="for i in []:\n    pass\n"), "top_level_statement"),
    ],
)
def test_each_other_program_is_refused_for_its_own_reason(text: str, reason: str) -> None:
    program = read_program(text)
    assert program == Malformed(reason, well_formed=reason != "syntax") if reason else isinstance(program, Program)


def test_limits_bound_the_length_and_the_helpers() -> None:
    text = function("return g(x)", before="def g(x):\n    return x\n")
    assert isinstance(read_program(text, Limits(max_chars=len(text))), Program)
    assert read_program(text, Limits(max_chars=len(text) - 1)) == Malformed("too_long", well_formed=True)
    assert read_program(text, Limits(helpers=False)) == Malformed("several_functions", well_formed=True)
    nested = function("def g(y):\n    return y\nreturn g(x)", before="N = 1\n")
    assert isinstance(read_program(nested, Limits(helpers=False)), Program)


@pytest.mark.parametrize("parameters", ["x", "x, y=1", "x, /, y, *, z=2", "x, *, y", "x=1, y=2", "x, y, /", "*, x"])
@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "1",
        "1, 2",
        "1, 2, 3",
        "x=1",
        "y=1",
        "1, y=2",
        "1, x=2",
        "x=1, y=2",
        "y=1, x=2",
        "1, 2, z=3",
        "1, q=2",
        "1, z=3, y=2",
    ],
)
def test_arguments_fit_exactly_where_python_would_bind_them(parameters: str, arguments: str) -> None:
    space: dict[str, object] = {}
    exec(f"def f({parameters}): pass", space)
    try:
        eval(f"f({arguments})", space)
        binds = True
    except TypeError:
        binds = False
    assert fits(read(function("return x", parameters=parameters)), parse_arguments(arguments)) == binds


def check(text: str) -> None:
    """All that may be asked of a text, answered without an exception; and answers that agree."""
    program = read_program(text)
    assert isinstance(is_unordered(text), bool)
    stripped = strip_comments(text)
    if isinstance(program, Malformed):
        assert program.reason in REASONS
        return
    assert trivial(program) in {None, "no_return", "constant_output", "unused_input"}
    assert read(stripped).normal == program.normal
    assert read(program.normal).normal == program.normal


@given(st.text(max_size=80) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(max_examples=500, deadline=None)
def test_no_text_makes_the_reader_raise(text: str) -> None:
    check(text)


@needs_cruxeval
@given(st.integers(0, 399), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_no_mutation_of_a_real_program_makes_the_reader_raise(index: int, rng: random.Random) -> None:
    sources = rows()
    text = sources[index]["code"]
    other = sources[rng.randrange(400)]["code"]
    for _ in range(rng.randrange(1, 5)):
        at, to = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        start = rng.randrange(len(other))
        text = text[:at] + rng.choice(["", text[at:to] * 2, other[start : start + to - at], rng.choice(PIECES)]) + text[to:]
    check(text)


def expressions() -> st.SearchStrategy[ast.expr]:
    names = st.sampled_from(["x", "y", "f", "len", "set", "eval", "__class__", "_", "v0"])
    leaves = names.map(lambda name: ast.Name(name, ast.Load())) | st.one_of(
        st.integers(), st.floats(allow_nan=False), st.text(max_size=4), st.none(), st.binary(max_size=3)
    ).map(ast.Constant)

    def grow(inner: st.SearchStrategy[ast.expr]) -> st.SearchStrategy[ast.expr]:
        target = names.map(lambda name: ast.Name(name, ast.Store()))
        loop = st.builds(ast.comprehension, target, inner, st.lists(inner, max_size=1), st.just(0))
        parameters = names.map(lambda name: ast.arguments([], [ast.arg(name)], None, [], [], None, []))
        return st.one_of(
            st.builds(ast.BinOp, inner, st.sampled_from([ast.Add(), ast.Sub(), ast.BitAnd()]), inner),
            st.builds(ast.Call, inner, st.lists(inner, max_size=2), st.lists(st.builds(ast.keyword, names, inner), max_size=1)),
            st.builds(ast.Attribute, inner, names | st.sampled_from(["keys", "union", "sys"]), st.just(ast.Load())),
            st.builds(ast.ListComp, inner, st.lists(loop, min_size=1, max_size=2)),
            st.builds(ast.Lambda, parameters, inner),
            st.builds(ast.IfExp, inner, inner, inner),
            st.builds(ast.JoinedStr, st.lists(st.builds(ast.FormattedValue, inner, st.just(-1), st.none()), max_size=2)),
            st.builds(ast.Set, st.lists(inner, min_size=1, max_size=2)),
        )

    return st.recursive(leaves, grow, max_leaves=12)


@given(expressions(), expressions())
@settings(max_examples=300, deadline=None)
def test_no_tree_makes_the_reader_raise(first: ast.expr, second: ast.expr) -> None:
    with contextlib.suppress(ValueError):  # an f-string that Python cannot write
        check(f"def f(x):\n    y = {ast.unparse(first)}\n    return {ast.unparse(second)}")


def test_no_warning_of_the_parser_reaches_anyone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(read_program(function(r"return '\d' + x if x is 1 else 0")), Program)


@pytest.mark.slow
@needs_cruxeval
def test_cruxeval_programs_are_read_but_for_the_one_without_a_parameter() -> None:
    programs = {row["id"]: read_program(row["code"]) for row in rows()}
    refused = {name: program.reason for name, program in programs.items() if isinstance(program, Malformed)}
    assert refused == {"sample_135": "arguments"}
    for row in rows():
        program = programs[row["id"]]
        assert isinstance(program, Malformed) or trivial(program) in (None, "constant_output")
        check(row["code"])
