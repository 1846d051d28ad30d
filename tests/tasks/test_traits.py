import pytest

from tasks.python.source import Program, is_unordered, read_program, trivial


def read(text: str) -> Program:
    program = read_program(text)
    assert isinstance(program, Program), program
    return program


def function(body: str, parameters: str = "x", before: str = "") -> str:
    return before + f"def f({parameters}):\n" + "".join(f"    {line}\n" for line in body.split("\n"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (function("return x"), None),
        (function("pass"), "no_return"),
        (function("x += 1\nreturn"), "no_return"),
        (function("x.sort()\nreturn None"), "no_return"),
        (function("def g():\n    return 1\ng()"), "no_return"),
        (function("return 1"), "constant_output"),
        (function("if x:\n    return [1, 'a']\nelse:\n    return [1, 'a']"), "constant_output"),
        (function("if x:\n    return 1\nreturn 2"), None),
        (function("if x:\n    return 1"), None),
        (function("for i in x:\n    return -1"), None),
        (function("if x:\n    return True\nreturn 1"), None),
        (function("y = [1]\nreturn y"), "unused_input"),
        (function("y = 2\nreturn lambda: y", parameters="a, b"), "unused_input"),
        (function("return [b for i in range(3)]", parameters="a, b"), None),
        (function("x += 'a'\nreturn len('abc')"), None),
        (function("return 0x" + "f" * 5000), "unused_input"),
    ],
)
def test_triviality_is_named_where_it_is_sure(text: str, reason: str | None) -> None:
    assert trivial(read(text)) == reason


@pytest.mark.parametrize(
    ("text", "unordered"),
    [
        (function("return sorted(x)[0] - 1"), False),
        (function("return [k for k, v in x.items() if v]"), False),
        (function("return x | 1"), False),
        (function("return {1, 2}"), True),
        (function("return [y for y in {z for z in x}]"), True),
        (function("return list(map(set, x))"), True),
        (function("return x.union([1])"), True),
        (function("return list(x.keys() & {'a': 1})"), True),
        (function("a = x.items()\nb = x.keys()\nreturn list(a - b)"), True),
        (function("return hash(x)"), True),
        (function("return str(A())", before="class A: pass\n"), True),
        ("f({1, 2}, 'a')", True),
        ("f([1, 2], a='b')", False),
        ("def f(", True),
    ],
)
def test_programs_whose_order_may_be_by_hash_are_named(text: str, unordered: bool) -> None:
    assert is_unordered(text) == unordered
