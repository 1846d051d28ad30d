import ast
import contextlib
import itertools
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.python.literals import (
    MAX_CHARS,
    Arguments,
    LiteralError,
    parse_arguments,
    parse_value,
    render,
    render_arguments,
    same,
    same_text,
)

CRUXEVAL = Path(__file__).resolve().parents[3] / "shared/data/cruxeval/cruxeval_first400.jsonl"
NAN, INF = float("nan"), float("inf")
PRIME = 2**61 - 1  # integers that differ by a multiple of it have one hash

OURS = ("set", "dict", "float", "nan", "inf", "tuple", "list", "complex", "#")  # Python's own reader has no constructors
FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *("(", ")", "[", "]", "{", "}", ",", ":", "+", "-", "*", "=", "'a'", '"b"', "b'c'", "r'\\d'", "f'{x}'", "'''", "'"),
            *("1", "0", "2.5", "1e3", "3j", "0x1f", "1_0", "007", "1__0", "True", "None", "nan", "inf", "...", "x", "lambda"),
            *(
                "set(",
                "frozenset(",
                "dict(a=",
                "float('nan')",
                "tuple(",
                "list(",
                "complex(1, ",
                "for",
                "\n",
                " ",
                "#c\n",
                "\\",
            ),
            *("\\\n", "'\\x41'", "'\\u00e9'", "'\\N{DIGIT ONE}'", "'\\q'", "\0", "\ud800", "é", "\t", "\r\n", ";", "or"),
        ]
    ),
    max_size=12,
).map("".join)


def read(text: str) -> object:
    """The value, or the class of the error where the text is none."""
    try:
        return parse_value(text)
    except LiteralError:
        return LiteralError


def read_by_python(text: str) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.literal_eval(text.strip(" \t\r\n\f"))
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
            return LiteralError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("set()", set()),
        ("set([1, 2])", {1, 2}),
        ("set('aba')", {"a", "b"}),
        ("frozenset()", frozenset()),
        ("frozenset({1, (2,)})", frozenset({1, (2,)})),
        ("dict()", {}),
        ("dict(a=1, b=[2],)", {"a": 1, "b": [2]}),
        ("dict([('a', 1)], b=2)", {"a": 1, "b": 2}),
        ("list()", []),
        ("tuple([1])", (1,)),
        ("float('nan')", NAN),
        ("-float('inf')", -INF),
        ("float('-inf')", -INF),
        ("float(3)", 3.0),
        ("[nan, inf, -inf]", [NAN, INF, -INF]),
        ("(1+2j)", 1 + 2j),
        ("-1-2j", -1 - 2j),
        ("(nan+1j)", complex(NAN, 1)),
        ("(1+infj)", complex(1, INF)),
        ("complex(-0.0, 1)", complex(-0.0, 1)),
        ("+1", 1),
        ("1, 2", (1, 2)),
        ("1,", (1,)),
        ("()", ()),
        ("(1)", 1),
        ("'a' \"b\"", "ab"),
        ("(b'a'\n  b'b')", b"ab"),
        ("'''a\nb'''", "a\nb"),
        (r"'\d\x41\u00e9\N{DIGIT ONE}\101\n'", "\\dAé1A\n"),
        (r"b'\d\x41\u0041\377'", rb"\dA\u0041" + b"\xff"),
        (r"r'\n'", "\\n"),
        (r"'\ud800'", "\ud800"),
        ("[\n  1,  # one\n  2,\n]  # end", [1, 2]),
        ("0x_ff", 255),
        ("1_000.5e-1_0", 1_000.5e-10),
        ("000", 0),
        ("{1: 'a', True: 'b'}", {1: "b"}),
    ],
)
def test_each_spelling_has_its_value(text: str, value: object) -> None:
    assert same(parse_value(text), value)


REFUSED = {
    "syntax": (
        *("", "1 2", "[1", "1]", "'a", "'''a''''", "[1,,2]", "{1:2, 3}", "{1, 2: 3}", "1__0", "007", "(,)", "$", "1;2", "--1"),
        *("'a'\n'b'", "1\n+2j", "'a' b'b'", "b'é'", r"'\x4'", r"'\N{NO SUCH}'", "'\0'", "'\ud800'", r"'\U00110000'"),
        *("dict(a=1, a=2)", "dict(None=1)", "1+2j+3j", "[1]*2", "1 or 2"),
    ),
    "not_literal": (
        *("x", "f(1)", "1+1", "'a'+'b'", "-True", "[*a]", "{**a}", "f'a'", "lambda: 1", "set(a for a in b)"),
        *("-'a'", "True+1j", "{[]}", "{{}: 1}", "set([[]])", "set(1)", "float('x')", "float(True)", "list({1, 2})", "int('1')"),
        *("dict(['ab'])", "set(a=1)", "set([1], [2])", "range(3)", "1" * 400 + "+1j", "float(1" + "0" * 400 + ")"),
        *("__import__('os')", "set.__class__"),
    ),
    "too_deep": ("(" * 65, "[" * 65 + "]" * 65, "{1:" * 65, "list(" * 90, "dict(a=" * 90),
    "too_long": ("[" + "1," * (MAX_CHARS // 2) + "]",),
}


@pytest.mark.parametrize(("text", "reason"), [(text, reason) for reason, texts in REFUSED.items() for text in texts])
def test_what_is_no_literal_is_refused_for_its_own_reason(text: str, reason: str) -> None:
    with pytest.raises(LiteralError) as caught:
        parse_value(text)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "1) or (True",
        "1), (2",
        "1 or True",
        "*[1]",
        "**{}",
        "a=1, 2",
        "a=1, a=1",
        "f(1)",
        "1 for a in b",
        "a:=1",
        "1; 2",
        ",",
        ")",
    ],
)
def test_an_argument_list_cannot_close_the_call_or_compute(text: str) -> None:
    with pytest.raises(LiteralError):
        parse_arguments(text)


def test_an_argument_list_may_be_empty_span_lines_and_end_with_a_comma() -> None:
    assert parse_arguments(" # nothing") == Arguments()
    assert parse_arguments("1,\n  'a'\n  'b', # two\nc=[3],") == Arguments(positional=(1, "ab"), keywords=(("c", [3]),))


@given(FRAGMENTS | st.text(max_size=30))
@settings(max_examples=1000)
def test_the_reader_agrees_with_python_on_all_text_and_raises_its_own_error_only(text: str) -> None:
    value, expected = read(text), read_by_python(text)
    if text.lstrip().startswith("\\"):
        return  # Python minds the indent of the next line
    if expected is LiteralError:
        assert value is LiteralError or any(word in text for word in OURS)
    elif "..." not in text:
        assert same(value, expected)


@given(FRAGMENTS)
def test_an_argument_list_means_what_python_reads_in_a_call(text: str) -> None:
    try:
        arguments = parse_arguments(text)
    except LiteralError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = ast.parse(f"f(\n{text}\n)", mode="eval").body
    assert isinstance(call, ast.Call)
    assert len(call.args) == len(arguments.positional)
    assert [word.arg for word in call.keywords] == [name for name, _ in arguments.keywords]


def hostile() -> dict[str, str]:
    digits = "9" * MAX_CHARS
    pairs = itertools.islice(itertools.product((-1, -2), repeat=12), 2000)
    return {
        "elements": "[" + "1," * 49_990 + "]",
        "lists": "(" * 60 + "[]," * 33_000 + ")" * 60,
        "nests": "[" + ("[" * 30 + "]" * 30 + ",") * 1600 + "]",
        "digits": digits,
        "underscores": "9_" * 49_999 + "9",
        "float": digits[:-2] + ".1",
        "equal hashes": "{" + ",".join(str(index * PRIME) for index in range(4000)) + "}",
        "equal hashes of keys": "{" + ",".join(f"{index * PRIME}:0" for index in range(3900)) + "}",
        "equal hashes of tuples": "{" + ",".join(map(str, pairs)) + "}",
        "equal hashes in a call": "set([" + ",".join(str(index * PRIME) for index in range(4000)) + "])",
        "brackets": "(" * MAX_CHARS,
        "minus": "-" * MAX_CHARS,
        "sum": "1+" * 49_999 + "1",
        "unterminated": "'''\\'" * 19_990,
        "quotes": "\"'" * 49_990,
        "escapes": "'" + "\\a" * 49_990 + "'",
        "concatenation": "''" + " ''" * 33_000,
        "copies": "set(" * 60 + "'" + "".join(map(chr, range(1000, 50_000))) + "'" + ")" * 60,
        "newlines": "[" + "\n" * 99_990 + "]",
        "comments": "#\n" * 49_999,
        "names": "a" * MAX_CHARS,
        "keywords": ",".join(f"a{index}=1" for index in range(11_000)),
        "lambdas": "lambda:" * 14_000,
        "nulls": "\0" * MAX_CHARS,
        "backslashes": "\\" * MAX_CHARS,
    }


@pytest.mark.parametrize("form", ["{{{}}}", "set([{}])", "{{{}: 0}}", "dict([({}, 0)])"])
def test_members_that_share_a_hash_are_refused_before_they_cost_quadratic_time(form: str) -> None:
    between = {"{{{}: 0}}": ": 0, ", "dict([({}, 0)])": ", 0), ("}.get(form, ", ")
    texts = [form.format(between.join(str(index * PRIME) for index in range(count))) for count in (32, 33)]
    value = parse_value(texts[0])
    assert isinstance(value, set | dict)
    assert len(value) == 32
    with pytest.raises(LiteralError):
        parse_value(texts[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", hostile())
def test_no_text_takes_long_to_read_write_or_compare(name: str) -> None:
    """At the worst some four times what Python takes to read as long a text; what is caught here is quadratic.

    The two are measured beside each other, and once is enough: a busy machine slows either by chance, a quadratic text always.
    """
    text, plain = hostile()[name], "[" + "1," * (MAX_CHARS // 2 - 1) + "]"
    assert len(text) <= MAX_CHARS

    def work() -> None:
        same_text(text, text)
        with contextlib.suppress(LiteralError):
            render_arguments(parse_arguments(text))

    assert any(cpu_s(work) < 20 * cpu_s(lambda: ast.literal_eval(plain)) for _ in range(3))


def cpu_s(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def test_no_warning_is_raised_for_invalid_escapes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_value(r"['\d', b'\q', '\400']") == ["\\d", b"\\q", "Ā"]


@pytest.mark.skipif(not CRUXEVAL.exists(), reason="the CRUXEval rows are not beside this checkout")
def test_every_output_of_cruxeval_reads_and_is_its_own_canonical_text() -> None:
    rows = [json.loads(line) for line in CRUXEVAL.read_text().splitlines()]
    assert len(rows) == 400
    for row in rows:
        value = parse_value(row["output"])
        assert same(value, ast.literal_eval(row["output"]))
        assert render(value) == row["output"]
