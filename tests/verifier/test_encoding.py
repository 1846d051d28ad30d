import json
import math
from collections import Counter, OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.python.literals import same
from verifier.sandbox.encoding import MAX_DEPTH, MAX_EQUAL_HASHES, Encoder, TooLarge, Unsupported, decode

MAX_CHARS = 1 << 16
EXACT_TYPES = (int, float, complex, str, bytes, bool, type(None), list, tuple, dict, set, frozenset)

texts = st.text(st.characters(exclude_categories=()), max_size=20)  # with lone surrogates
integers = st.integers() | st.integers(-(10**16), 10**16) | st.integers(4300, 9000).map(lambda digits: 10**digits + 7)
scalars = (
    st.none() | st.booleans() | integers | st.floats() | st.complex_numbers() | texts | st.binary(max_size=20) | st.just(-0.0)
)
hashables = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4), max_leaves=8
)
values = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(hashables, inner, max_size=5)
        | st.sets(hashables, max_size=5)
    ),
    max_leaves=20,
)
parsed_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from("ltSFdifcbs"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(st.sampled_from("lSFtdifcbs"), inner).map(list)
        | st.tuples(st.sampled_from("lSFtdc"), inner, inner).map(list)
        | st.tuples(st.just("d"), st.lists(inner, min_size=2, max_size=2)).map(list)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=15,
)


def crossed(value: object, max_chars: int = MAX_CHARS) -> object:
    return decode(json.loads(Encoder(max_chars).encode(value)))


@given(values)
def test_a_value_of_exact_builtin_types_crosses_unchanged(value: object) -> None:
    assert same(crossed(value, max_chars=1 << 22), value)  # a few integers of 9000 digits are more than MAX_CHARS


@pytest.mark.parametrize(
    "value",
    ["\ud83d\ude00", "a\ude00\ud83d", "\ud800", "a\udfffb", "\U0001f600", "\x00\x1f\x7f\u2028", '"\\', "\ud83d" + "\U0001f600"],
    ids=ascii,
)
def test_surrogates_stay_as_they_are_and_are_never_joined_to_one_character(value: str) -> None:
    assert crossed(value) == value
    assert list(crossed({value: [value]})) == [value]


def test_nan_and_minus_zero_keep_their_nature() -> None:
    found = crossed([math.nan, -0.0, 0.0, complex(-0.0, math.nan), 5e-324, 1.7976931348623157e308])
    assert repr(found) == "[nan, -0.0, 0.0, (-0+nanj), 5e-324, 1.7976931348623157e+308]"


def test_a_bool_is_not_sent_as_a_number_nor_the_other_way_round() -> None:
    assert [type(value) for value in crossed([True, 1, False, 0, 1.0])] == [bool, int, bool, int, float]


def exact(value: object) -> bool:
    if type(value) is dict:
        return all(exact(key) and exact(member) for key, member in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return type(value) in EXACT_TYPES and all(map(exact, value))
    return type(value) in EXACT_TYPES


@given(parsed_json)
def test_whatever_is_decoded_it_is_a_value_of_exact_types_or_a_value_error(data: object) -> None:
    try:
        value = decode(data)
    except ValueError:
        return
    assert exact(value)
    assert same(crossed(value), value)


REFUSED = """
    [] {} 1.5 [1] [null,1] [["l"]] ["x","1"] ["i"] ["i","1","2"] ["i",1] ["i","z"] ["i",""] ["f","one"] ["f","0x1p99999"]
    ["c","0x1p0"] ["b","0"] ["b",null] ["s","ff"] ["d",["l"]] ["d",[1,2,3]] ["d",[["l"],1]] ["S",["l"]] ["F",["d"]]
    ["S",["t",["l"]]] ["l",1.5]
    """


@pytest.mark.parametrize("text", REFUSED.split())
def test_what_the_encoder_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is the contract
        decode(json.loads(text))


def nested(depth: int, kind: type[list[object]] | type[tuple[object, ...]] = list) -> object:
    value: object = 1
    for _ in range(depth):
        value = kind([value])
    return value


def test_depth_is_bounded_on_both_sides() -> None:
    assert same(crossed(nested(MAX_DEPTH)), nested(MAX_DEPTH))
    with pytest.raises(TooLarge) as caught:
        Encoder(MAX_CHARS).encode(nested(MAX_DEPTH + 1))
    assert caught.value.reason == "depth"
    for depth in (MAX_DEPTH + 2, 900):
        with pytest.raises(ValueError, match="not an encoded value"):
            decode(json.loads('["l",' * depth + "1" + "]" * depth))


def test_a_cycle_is_too_deep_and_a_shared_value_is_counted_each_time() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    shared: object = "x"
    for _ in range(50):
        shared = [shared, shared]
    for value, reason in ((cycle, "depth"), (shared, "size")):
        with pytest.raises(TooLarge) as caught:
            Encoder(MAX_CHARS).encode(value)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1001,
        "\ud800" * 400,
        b"x" * 501,
        1 << 4001,
        -(1 << 4001),
        [None] * 1001,
        (True,) * 1001,
        {None: [[]] * 500},
        dict.fromkeys(range(400)),
        set(range(1001)),
        [1.5] * 200,
        [1j] * 200,
        [""] * 1001,
    ],
    ids=lambda value: type(value).__name__,
)
def test_size_is_bounded_before_the_text_is_built(value: object) -> None:
    with pytest.raises(TooLarge) as caught:
        Encoder(1000).encode(value)
    assert caught.value.reason == "size"


@given(values)
def test_the_text_is_never_far_above_the_bound(value: object) -> None:
    try:
        text = Encoder(64).encode(value)
    except TooLarge:
        return
    assert len(text) <= 12 * 64 + 64


class Named(type):
    """A metaclass whose classes say that they are int."""

    @property
    def __name__(cls) -> str:
        return "int"

    def __repr__(cls) -> str:
        return "<class 'int'>"

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(int)


class Disguised(type):
    """A metaclass whose classes say that they are list."""

    def __eq__(cls, other: object) -> bool:
        return other is list

    def __hash__(cls) -> int:
        return hash(list)


class Impostor(metaclass=Named):
    @property
    def __class__(self) -> type:
        return int

    def __repr__(self) -> str:
        return "1"

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1

    def __iter__(self) -> object:
        raise AssertionError("the encoder calls no method of a value")

    __len__ = __index__ = __str__ = __iter__


class Listlike(metaclass=Disguised):
    def __iter__(self) -> object:
        raise AssertionError("the encoder calls no method of a value")

    __len__ = __iter__


class Text(str):
    def isascii(self) -> bool:
        raise AssertionError("the encoder calls no method of a value")

    __len__ = encode = isascii


class Whole(int):
    def __repr__(self) -> str:
        raise AssertionError("the encoder calls no method of a value")

    __lt__ = __gt__ = bit_length = __format__ = __repr__


class Row(list):
    def __iter__(self) -> object:
        raise AssertionError("the encoder calls no method of a value")

    __len__ = __iter__


class Colour(IntEnum):
    RED = 1


Point = namedtuple("Point", "x")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Impostor(), "Impostor"),
        (Listlike(), "Listlike"),
        (Text("a"), "Text"),
        (Whole(3), "Whole"),
        (Row([1]), "Row"),
        (Point(1), "Point"),
        (Colour.RED, "Colour"),
        (Counter("aab"), "Counter"),
        (OrderedDict(a=1), "OrderedDict"),
        (defaultdict(int), "defaultdict"),
        (Decimal(1), "Decimal"),
        (Fraction(1, 2), "Fraction"),
        (bytearray(b"a"), "bytearray"),
        (memoryview(b"a"), "memoryview"),
        (range(3), "range"),
        (iter([]), "list_iterator"),
        (map(str, []), "map"),
        ((x for x in ""), "generator"),
        ({}.keys(), "dict_keys"),
        (slice(1), "slice"),
        (..., "ellipsis"),
        (NotImplemented, "NotImplementedType"),
        (len, "builtin_function_or_method"),
        (lambda: 1, "function"),
        (int, "type"),
        (Impostor, "Named"),
        (object(), "object"),
        (ValueError("a"), "ValueError"),
    ],
    ids=lambda value: value if isinstance(value, str) and type(value) is str else "",
)
def test_any_other_type_is_refused_by_its_true_name(value: object, name: str) -> None:
    for holder in (value, [value], {1: (value,)}):
        with pytest.raises(Unsupported) as caught:
            Encoder(MAX_CHARS).encode(holder)
        assert caught.value.name == name


def test_members_with_one_hash_are_bounded_as_they_cost_quadratic_time() -> None:
    """Hashes of integers are the same everywhere; a program may send many that collide."""
    period = 2**61 - 1
    some = {period * factor for factor in range(MAX_EQUAL_HASHES)}
    assert crossed(some) == some
    colliding = "".join(f',["i","{period * factor:x}"]' for factor in range(5000))
    for text in (f'["S"{colliding}]', '["d"' + colliding.replace(",[", ",[[").replace('"]', '"],1]') + "]"):
        with pytest.raises(ValueError, match="hashes"):
            decode(json.loads(text))
