import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.arithmetic.expression import MAX_CHARS, VARIABLES
from tasks.mixed.programs import Call, Phrase, Sort, list_program, parse_call, phrase, read_phrase, sort_of

functions = st.sampled_from(["count", "max", "min"])
numbers = st.lists(st.integers(0, 10**6), min_size=2, max_size=len(VARIABLES))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("count(3, a, b)", "count(3, a, b)"),
        (" max( a,b ) ", "max(a, b)"),
        ("min (a, (b), c)", "min(a, b, c)"),
        ("max(a + b, 2*c)", "max(a + b, 2 * c)"),
    ],
)
def test_calls_have_one_normal_form(text: str, normal: str) -> None:
    call = parse_call(text)
    assert isinstance(call, Call)
    assert call.text == normal
    assert parse_call(normal) == call


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a + b",
        "max()",
        "max(a)",
        "max(a,)",
        "max(a, b",
        "max a, b",
        "sum(a, b)",
        "MAX(a, b)",
        "max(a, x)",
        "max(a, b) + 1",
        "max(a, min(b, c))",
        "max(a, b)) + (c, d)",
        "max(a, 'b')",
        "max(a=1, b)",
        "max(*a, b)",
        "max(a, b)(c, d)",
        f"max({', '.join('a' * MAX_CHARS)})",
    ],
)
def test_what_is_not_one_call_of_expressions_is_refused(text: str) -> None:
    assert parse_call(text) is None


@given(st.text(max_size=60) | st.text(alphabet="countmaxin(), abc123+*", max_size=60))
def test_no_text_makes_the_readers_raise_and_what_they_read_has_a_stable_normal_form(text: str) -> None:
    call = parse_call(text)
    assert call is None or parse_call(call.text) == call
    assert read_phrase(text) is None or isinstance(read_phrase(text), Phrase)
    assert sort_of(text) in Sort


@given(functions, st.integers(0, 10**6), numbers)
def test_the_phrase_of_a_program_reads_as_that_program_and_its_numbers(function: str, target: int, items: list[int]) -> None:
    wanted = target if function == "count" else None
    program = list_program(function, wanted, len(items))
    text = phrase(program, [str(item) for item in items])
    assert read_phrase(text) == Phrase(function, wanted, tuple(items))
    call = parse_call(program)
    assert call is not None
    assert call.variables == set(VARIABLES[: len(items)])


@pytest.mark.parametrize(
    ("program", "items", "text"),
    [
        ("count(3, a, b, c, d)", ["3", "1", "3", "5"], "Count 3 in 3 1 3 5"),
        ("count(3, a, b)", ["?", "?"], "Count 3 in ? ?"),
        ("max(a, b)", ["7", "12"], "Largest of 7 12"),
        ("min(a, b, c)", ["7", "12", "9"], "Smallest of 7 12 9"),
    ],
)
def test_phrases_are_short_english(program: str, items: list[str], text: str) -> None:
    assert phrase(program, items) == text


@pytest.mark.parametrize("text", ["Count in 3", "Count 3 in", "Count 3 in 3, 1", "Largest of", "Largest 3 4", "largest of 3 4"])
def test_phrases_of_another_form_are_not_read(text: str) -> None:
    assert read_phrase(text) is None


@pytest.mark.parametrize(
    ("program", "sort"),
    [
        ("(a - b) * c", Sort.ARITHMETIC),
        ("a * (b)", Sort.ARITHMETIC),
        ("count(3, a, b)", Sort.COUNTING),
        ("max(a, b)", Sort.COMPARISON),
        ("min(a, b)", Sort.COMPARISON),
    ],
)
def test_a_program_has_one_sort(program: str, sort: Sort) -> None:
    assert sort_of(program) is sort
