import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.system_sections import VerifiersSection
from verifier.arithmetic import MAX_DIGITS, ArithmeticExecutor
from verifier.execution import Call, Outcome, load_executor

EXECUTOR = ArithmeticExecutor(VerifiersSection())


def run(program: str, text: str) -> Outcome:
    [outcome] = EXECUTOR.run([Call(program=program, input=text)])
    return outcome


@given(st.lists(st.integers(-999, 999), min_size=3, max_size=3))
def test_values_are_those_of_integer_arithmetic(values: list[int]) -> None:
    a, b, c = values
    text = ", ".join(map(str, values))
    outputs = {program: run(program, text).output for program in ("a + b * c", "(a - b) * c", "a - (b - c)")}
    assert outputs == {"a + b * c": str(a + b * c), "(a - b) * c": str((a - b) * c), "a - (b - c)": str(a - (b - c))}


@pytest.mark.parametrize(
    ("program", "given_input", "outcome"),
    [
        ("a +", "1", Outcome("error", reason="syntax")),
        ("a ** b", "9, 9", Outcome("error", reason="syntax")),
        ("a + b", "1", Outcome("error", reason="unknown_variable")),
        ("a + b", "1, x", Outcome("error", reason="input_syntax")),
        ("a + b", "", Outcome("error", reason="input_syntax")),
        ("a + b", "1, " * 8 + "1", Outcome("error", reason="too_many_operands")),
        ("a", "9" * (MAX_DIGITS + 1), Outcome("error", reason="input_syntax")),
        ("a * a * a * a * a * a * a * a", "9" * 10, Outcome("too_large_output", reason="digits")),
        ("a + " + "9" * 60, "1", Outcome("too_large_output", reason="digits")),
    ],
)
def test_what_cannot_be_computed_is_an_outcome_with_a_reason(program: str, given_input: str, outcome: Outcome) -> None:
    assert run(program, given_input) == outcome


@given(st.text(max_size=80), st.text(max_size=80))
def test_hostile_text_never_raises(program: str, given_input: str) -> None:
    assert run(program, given_input).status in ("ok", "error", "too_large_output")


def test_the_executor_is_found_by_its_name() -> None:
    assert isinstance(load_executor("arithmetic", VerifiersSection()), ArithmeticExecutor)
