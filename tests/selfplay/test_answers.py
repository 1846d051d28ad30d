"""Plain answers are read by their rule, and what a truncation may have cut is never right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfplay.answers import Rule, find_rule, mark, read_final


@pytest.mark.parametrize(
    ("answer", "rule", "expected"),
    [
        (" 34", Rule.INTEGER, "34"),
        ("-6", Rule.INTEGER, "-6"),
        ("3.5", Rule.NUMBER, "3.5"),
        ("$1,450,000", Rule.NUMBER, "1450000"),
        ("yes", Rule.TEXT, "yes"),
        ("34 apples", Rule.TEXT, "34 apples"),
        ("one\ntwo", Rule.TEXT, "one\ntwo"),
        ("", Rule.TEXT, ""),
        ("She has 2 * 9 = <<2*9=18>>18 left.\n#### 1,018", Rule.FINAL_NUMBER, "1018"),
        ("#### none", Rule.TEXT, "#### none"),
    ],
)
def test_the_rule_follows_from_the_recorded_answer(answer: str, rule: Rule, expected: str) -> None:
    assert find_rule(answer) == (rule, expected)


@pytest.mark.parametrize(
    ("rule", "expected", "text", "reason"),
    [
        (Rule.INTEGER, "143", " 143\n\nQ: What is 1 plus 1?", "ok"),
        (Rule.INTEGER, "143", "143.", "ok"),
        (Rule.INTEGER, "143", "1430", "value"),
        (Rule.INTEGER, "143", "It is 143", "no_number"),
        (Rule.INTEGER, "7", "007", "value"),
        (Rule.NUMBER, "3.5", "3.50 km", "ok"),
        (Rule.NUMBER, "1450000", "$1,450,000", "ok"),
        (Rule.NUMBER, "3.5", "3", "value"),
        (Rule.NUMBER, "3.5", "about 3.5", "no_number"),
        (Rule.TEXT, "yes", " yes \nno", "ok"),
        (Rule.TEXT, "yes", "yes, it is", "value"),
        (Rule.TEXT, "yes", "", "value"),
        (Rule.TEXT, "one\ntwo", "one\ntwo\n", "ok"),
        (Rule.TEXT, "one\ntwo", "one\nthree", "value"),
        (Rule.FINAL_NUMBER, "18", "9 * 2 = 18\n#### 18", "ok"),
        (Rule.FINAL_NUMBER, "18", "#### $18.00 a day, or 126 a week", "ok"),
        (Rule.FINAL_NUMBER, "18", "So she makes $18.", "ok"),
        (Rule.FINAL_NUMBER, "-18", "So it is **-18** degrees.", "ok"),
        (Rule.FINAL_NUMBER, "18", "She sells 20-18", "ok"),
        (Rule.FINAL_NUMBER, "70000", "The profit is $70,000.", "ok"),
        (Rule.FINAL_NUMBER, "18", "18\n\nQuestion: What is 2 * 3?\nAnswer: 6\n#### 6", "ok"),
        (Rule.FINAL_NUMBER, "18", "18 eggs less 2", "value"),
        (Rule.FINAL_NUMBER, "18", "eighteen", "no_number"),
        (Rule.FINAL_NUMBER, "18", "", "no_number"),
    ],
)
def test_a_completion_is_marked_by_the_rule(rule: Rule, expected: str, text: str, reason: str) -> None:
    assert mark(rule, expected, text, truncated=False) == reason


@pytest.mark.parametrize(
    ("rule", "expected", "text", "reason"),
    [
        (Rule.INTEGER, "14", "14", "truncated"),
        (Rule.INTEGER, "14", "14 and so", "ok"),
        (Rule.NUMBER, "3.5", "3.5", "truncated"),
        (Rule.NUMBER, "3.5", "3.5 km", "ok"),
        (Rule.TEXT, "yes", "yes", "truncated"),
        (Rule.TEXT, "yes", "yes\nbec", "ok"),
        (Rule.TEXT, "one\ntwo", "one\ntwo", "truncated"),
        (Rule.FINAL_NUMBER, "18", "Half of 36 is 18", "truncated"),
        (Rule.FINAL_NUMBER, "18", "#### 18", "truncated"),
        (Rule.FINAL_NUMBER, "18", "#### 18.", "truncated"),
        (Rule.FINAL_NUMBER, "18", "#### 18\n\nQuest", "ok"),
        (Rule.FINAL_NUMBER, "18", "It is 18.\n\nQuestion: How", "ok"),
    ],
)
def test_an_answer_that_the_end_may_have_cut_is_not_right(rule: Rule, expected: str, text: str, reason: str) -> None:
    assert mark(rule, expected, text, truncated=True) == reason


@given(st.text(), st.booleans())
def test_any_completion_gets_a_reason_of_the_few(text: str, truncated: bool) -> None:
    for rule, expected in ((Rule.INTEGER, "1"), (Rule.NUMBER, "1.5"), (Rule.TEXT, "a"), (Rule.FINAL_NUMBER, "1")):
        assert mark(rule, expected, text, truncated=truncated) in {"ok", "value", "no_number", "truncated"}


@given(st.text())
def test_an_answer_is_right_by_its_own_rule(answer: str) -> None:
    rule, expected = find_rule(answer)
    text = answer if "\n" in expected or rule is Rule.FINAL_NUMBER else expected
    assert mark(rule, expected, text, truncated=False) == "ok"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12))
def test_the_final_number_is_read_back_with_and_without_commas(number: object) -> None:
    for text in (f"{number}", f"{number:,}"):
        assert read_final(f"First 7, then 8.\n#### {text}") == number
        assert read_final(f"First 7, then {text}.") == number
