import itertools
import math
import sys
from collections import Counter, namedtuple
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.python.literals import (
    MAX_CHARS,
    MAX_DEPTH,
    Arguments,
    LiteralError,
    parse_arguments,
    parse_value,
    render,
    render_arguments,
    same,
)

BUILTINS = {"float": float, "complex": complex, "set": set, "frozenset": frozenset}
POINT = namedtuple("POINT", "x")
NAN, INF = float("nan"), float("inf")
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
    | st.binary(max_size=8)
)
HASHABLES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3), max_leaves=6
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(HASHABLES, inner, max_size=4)
        | st.sets(HASHABLES, max_size=4)
        | st.frozensets(HASHABLES, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.sampled_from(["a", "b", "key", "nan", "set", "x1"])


def equal(left: Any, right: Any) -> bool:
    """The rule of equality written out for values without sets of containers; sets match their members one by one."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right) if left == left else right != right
    if isinstance(left, complex):
        return equal(left.real, right.real) and equal(left.imag, right.imag)
    if isinstance(left, dict):
        return match([*left.items()], [*right.items()])
    if isinstance(left, set | frozenset):
        return match([*left], [*right])
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(itertools.starmap(equal, zip(left, right, strict=True)))
    return bool(left == right)


def match(left: list[Any], right: list[Any]) -> bool:
    for member in left:
        index = next((index for index, other in enumerate(right) if equal(member, other)), None)
        if index is None:
            return False
        right = right[:index] + right[index + 1 :]
    return not right


@given(VALUES)
@example({NAN, float("nan")})
@example(complex(-0.0, 1.0))
@example(complex(0.0, -2.0))
@example(-0.0)
@example({frozenset({frozenset(), (1, frozenset({2}))}): {1}})
def test_what_is_rendered_reads_back_as_the_same_value(value: object) -> None:
    text = render(value)
    back = parse_value(text)
    assert equal(back, value)
    assert same(back, value)
    assert render(back) == text


@given(VALUES)
def test_rendered_text_means_the_same_to_python(value: object) -> None:
    assert equal(eval(render(value), {"__builtins__": BUILTINS}), value)


@given(st.lists(VALUES, max_size=3), st.dictionaries(NAMES, VALUES, max_size=3))
def test_arguments_read_back_as_they_were_rendered(positional: list[object], keywords: dict[str, object]) -> None:
    arguments = Arguments(positional=tuple(positional), keywords=tuple(keywords.items()))
    back = parse_arguments(render_arguments(arguments))
    assert equal(back.positional, arguments.positional)
    assert equal(back.keywords, arguments.keywords)


@given(VALUES, VALUES)
def test_sameness_is_type_strict_structural_equality(left: object, right: object) -> None:
    assert same(left, right) == equal(left, right)
    assert same(left, left)


@given(st.lists(HASHABLES, max_size=6, unique_by=render))
def test_the_order_of_a_set_and_the_order_in_a_dict_do_not_count(members: list[Any]) -> None:
    backwards = members[::-1]
    assert render(set(members)) == render(set(backwards))
    assert same(dict.fromkeys(members), dict.fromkeys(reversed(members)))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (True, 1),
        (1, 1.0),
        (1.0, 1 + 0j),
        ((1,), [1]),
        (0.0, -0.0),
        ({True}, {1}),
        ({1: 2}, {1.0: 2}),
        ({(True,)}, {(1,)}),
        (frozenset({1}), {1}),
        ("a", b"a"),
        ([NAN], [None]),
        ({NAN}, {NAN, float("nan")}),
        (complex(0.0, 1.0), complex(-0.0, 1.0)),
        (Counter("a"), {"a": 1}),
        (POINT(1), (1,)),
        (object, object),
    ],
)
def test_values_that_python_may_call_equal_are_not_the_same(left: object, right: object) -> None:
    assert not same(left, right)
    assert not same(right, left)


def test_integers_of_any_length_are_read_and_written_whatever_the_limit_of_the_process() -> None:
    text = "-" + "1234567890" * 5000
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        value = parse_value(text)
        assert value == -(1234567890 * (10**50000 - 1) // (10**10 - 1))
        assert render(value) == text
        assert parse_value("0x" + "f" * 90_000) == 16**90_000 - 1
        assert sys.get_int_max_str_digits() == 640
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("value", [object(), Counter("a"), [range(3)], {1: {2: POINT(1)}}, bytearray(b"a"), ...])
def test_other_types_are_not_rendered(value: object) -> None:
    with pytest.raises(LiteralError) as caught:
        render(value)
    assert caught.value.reason == "not_literal"


def test_cyclic_shared_and_large_values_are_refused_at_once() -> None:
    cyclic: list[object] = []
    cyclic.extend([cyclic, cyclic])
    shared: list[object] = []
    for _ in range(MAX_DEPTH - 4):
        shared = [shared, shared]
    for value, expected in (
        (cyclic, "too_deep"),
        (shared, "too_long"),
        ("\0" * MAX_CHARS, "too_long"),
        (1 << 10**7, "too_long"),
    ):
        with pytest.raises(LiteralError) as caught:
            render(value)
        assert caught.value.reason == expected
    assert not same(cyclic, cyclic)
    assert not same(1 << 10**7, 1 << 10**7)


def test_no_method_of_a_value_is_called() -> None:
    class Liar(int):
        def __eq__(self, other: object) -> bool:
            raise AssertionError

        __repr__ = __hash__ = __eq__  # type: ignore[assignment]

    assert not same([Liar()], [0])
