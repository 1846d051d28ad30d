"""What is read from a completion, and the reason where nothing is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.python.options import PythonOptions
from tasks.python.parsing import read_answer, read_inputs, read_task
from tasks.records import Draft, Kind, Malformed, Origin, Pair, Task

THINKS = PythonOptions(num_inputs=4, max_input_chars=40, max_message_chars=40)
BARE = PythonOptions(think=False, num_inputs=4)
PREFILLED = PythonOptions(prefill=True)
PRINTABLE = PythonOptions(think=False, printable=True)
PROGRAM = "def f(a, b=2):\n    return a * b"


def block(label: str, *lines: str) -> str:
    return "\n".join((f"```{label}", *lines, "```", ""))


def reply(*blocks: str, thought: str = "<think>hm</think>\n") -> str:
    return f"{thought}<answer>\n{''.join(blocks)}</answer>"


def task(kind: Kind, program: str = PROGRAM) -> Task:
    pair = Pair(input="3", output="6")
    return Task(
        task_id="t", kind=kind, program=program, pairs=(pair,), num_shown=1, fingerprint="f", origin=Origin.GENERATED, step=0
    )


CODE, GIVEN = block("python", PROGRAM), block("input", "3, 4")


def test_a_proposal_is_stored_as_it_was_written_and_its_input_in_canonical_form() -> None:
    written = "# doubles\ndef f(a, b = 2):\n    return a*b"
    draft = read_task(THINKS, Kind.DEDUCTION, reply(block("python", written), block("input", "  [ 1,2 ],\n b=0x2")))
    assert isinstance(draft, Draft)
    assert (draft.program, draft.inputs) == (written, ("[1, 2], b=2",))
    plain = read_task(THINKS, Kind.DEDUCTION, reply(CODE, block("input", "[1, 2], b=2")))
    assert isinstance(plain, Draft)
    assert plain.fingerprint == draft.fingerprint  # comments and spaces make no new task


def test_comments_are_dropped_where_the_options_say_so() -> None:
    options = PythonOptions(think=False, keep_comments=False)
    draft = read_task(options, Kind.ABDUCTION, reply(block("python", "# hint", PROGRAM), GIVEN, thought=""))
    assert isinstance(draft, Draft)
    assert "hint" not in draft.program


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_answer"),
        ("<think>hm</think>" + CODE + GIVEN, "no_answer"),
        (reply(CODE, GIVEN).removesuffix("</answer>"), "no_answer"),
        (f"<think>{reply(CODE, GIVEN, thought='')}</think>\n<answer>{CODE}{GIVEN}", "no_answer"),
        (reply(CODE, GIVEN, thought=""), "no_think"),
        (reply(CODE, GIVEN, thought="well, <think>hm</think>"), "no_think"),
        (reply(CODE, GIVEN, thought="<think>hm</think> so: "), "no_think"),
        (reply(CODE, GIVEN, thought="<think>hm"), "no_think"),
        (reply(GIVEN), "no_program"),
        (reply(CODE), "no_input"),
        (reply(CODE, "```input\n3, 4\n"), "no_input"),
    ],
)
def test_a_proposal_without_its_tags_or_blocks_is_ill_formed_for_that_reason(text: str, reason: str) -> None:
    assert read_task(THINKS, Kind.DEDUCTION, text) == Malformed(reason, well_formed=False)


@pytest.mark.parametrize(
    ("program", "given", "reason"),
    [
        ("def f(a:\n    return a", "3", "syntax"),
        ("def g(a):\n    return a", "3", "no_function"),
        ("import os\ndef f(a):\n    return a + 1", "3", "import"),
        ("def f(a):\n    return 7", "3", "constant_output"),
        (PROGRAM + "\n#" + "x" * 5000, "3", "too_long"),
        ("def f(a):\n    return a + '\x07'", "'b'", "program_characters"),
        (PROGRAM, "3,, 4", "input_syntax"),
        (PROGRAM, "3 + a", "not_literal"),
        (PROGRAM, "open('x')", "not_literal"),
        (PROGRAM, "3, 4, 5", "arity"),
        (PROGRAM, "b=5", "arity"),
        (PROGRAM, "", "arity"),
        (PROGRAM, "3, a=4", "arity"),
        (PROGRAM, "'" + "x" * 60 + "'", "input_too_long"),
        (PROGRAM, "[" * 200 + "]" * 200, "input_too_deep"),
    ],
)
def test_a_proposal_that_breaks_a_rule_is_well_formed_and_refused_for_that_reason(
    program: str, given: str, reason: str
) -> None:
    text = reply(block("python", program), block("input", given))
    assert read_task(THINKS, Kind.ABDUCTION, text) == Malformed(reason, well_formed=True)


def test_a_trivial_program_is_admitted_where_the_options_say_so() -> None:
    options = PythonOptions(think=False, refuse_trivial=False)
    text = reply(block("python", "def f(a):\n    return 7"), block("input", "3"), thought="")
    assert isinstance(read_task(options, Kind.DEDUCTION, text), Draft)


INPUTS = [block("input", str(number)) for number in range(4)]
HINT = block("message", "It grows.")


def test_inputs_for_a_buffered_program_are_read_in_order_with_the_message() -> None:
    draft = read_inputs(THINKS, PROGRAM, reply(*INPUTS, HINT))
    assert isinstance(draft, Draft)
    assert (draft.kind, draft.program, draft.inputs, draft.message) == (
        Kind.INDUCTION,
        PROGRAM,
        ("0", "1", "2", "3"),
        "It grows.",
    )


@pytest.mark.parametrize(
    ("blocks", "reason", "well_formed"),
    [
        ([HINT], "no_input", False),
        (INPUTS, "no_message", False),
        ([*INPUTS, block("message", " ")], "no_message", False),
        ([*INPUTS[:3], HINT], "num_inputs", True),
        ([*INPUTS, INPUTS[0], HINT], "num_inputs", True),
        ([*INPUTS[:3], block("input", "0x0"), HINT], "repeated_input", True),
        ([*INPUTS[:3], block("input", "x"), HINT], "not_literal", True),
        ([*INPUTS[:3], block("input", "1, 2, 3"), HINT], "arity", True),
        ([*INPUTS, block("message", "x" * 41)], "message_too_long", True),
        ([*INPUTS, block("message", "bell \x07")], "message_characters", True),
    ],
)
def test_bad_inputs_are_refused_for_their_own_reason(blocks: list[str], reason: str, well_formed: bool) -> None:
    assert read_inputs(THINKS, PROGRAM, reply(*blocks)) == Malformed(reason, well_formed)


@pytest.mark.parametrize(
    ("kind", "text", "read"),
    [
        (Kind.DEDUCTION, block("output", " [1,2 ]"), "[1, 2]"),
        (Kind.DEDUCTION, block("output", "6 * 7"), Malformed("output_syntax", well_formed=True)),
        (Kind.DEDUCTION, block("output", "int"), Malformed("not_literal", well_formed=True)),
        (Kind.DEDUCTION, block("input", "6"), Malformed("no_output")),
        (Kind.ABDUCTION, block("input", "3, b = 4"), "3, b=4"),
        (Kind.ABDUCTION, block("input", "3, c=4"), Malformed("arity", well_formed=True)),
        (Kind.ABDUCTION, block("input", "f(3)"), Malformed("not_literal", well_formed=True)),
        (Kind.ABDUCTION, block("output", "6"), Malformed("no_input")),
        (Kind.INDUCTION, CODE, PROGRAM),
        (Kind.INDUCTION, block("python", "def f(:"), Malformed("syntax", well_formed=True)),
        (Kind.INDUCTION, block("python", "import os", PROGRAM), Malformed("import", well_formed=True)),
        (Kind.INDUCTION, block("output", "6"), Malformed("no_program")),
    ],
)
def test_answers_are_read_in_the_executors_notation_or_refused_for_a_reason(kind: Kind, text: str, read: object) -> None:
    assert read_answer(THINKS, task(kind), reply(text)) == read


def test_an_input_for_a_program_that_no_proposal_may_hold_is_left_to_the_executor() -> None:
    foreign = task(Kind.ABDUCTION, "import os\ndef f(a):\n    return a")
    assert read_answer(THINKS, foreign, reply(block("input", "1, 2, 3"))) == "1, 2, 3"


def test_proposers_are_held_to_their_first_blocks_and_solvers_to_their_last() -> None:
    other = block("python", "def f(a):\n    return -a")
    draft = read_task(THINKS, Kind.DEDUCTION, reply(CODE, GIVEN, other, block("input", "9")))
    assert isinstance(draft, Draft)
    assert (draft.program, draft.inputs) == (PROGRAM, ("3, 4",))
    assert read_answer(THINKS, task(Kind.INDUCTION), reply(other, CODE)) == PROGRAM
    assert read_answer(THINKS, task(Kind.DEDUCTION), reply(block("output", "1"), block("output", "2"))) == "2"


def test_the_last_complete_answer_counts_whatever_stands_around_it() -> None:
    first, last = block("output", "1"), block("output", "2")
    texts = [
        reply(first) + "\nno:\n<answer>" + last + "</answer> done",
        reply(first) + "\n<answer>\n" + last + "</answer>\n<answer>" + first,
        "\n <think>is it <answer>?</think>\n\n<answer>or so:\n" + last + "</answer>",
    ]
    assert [read_answer(THINKS, task(Kind.DEDUCTION), text) for text in texts] == ["2"] * 3


def test_an_opening_think_tag_may_stand_in_the_prompt() -> None:
    text = reply(block("output", "2"), thought="hm</think>")
    assert read_answer(PREFILLED, task(Kind.DEDUCTION), text) == "2"
    assert read_answer(THINKS, task(Kind.DEDUCTION), text) == Malformed("no_think")


@pytest.mark.parametrize(
    "text",
    [
        "``` output \n2\n```",
        "  ```OUTPUT\r\n  2\r\n  ``` ",
        "```python\nf(1)\n```output\n2\n```",  # a block that is not closed is none
        "text\n```text\n3\n```\n```output\n\n2\n\n```\nmore",
    ],
)
def test_white_space_and_text_around_blocks_change_nothing(text: str) -> None:
    assert read_answer(BARE, task(Kind.DEDUCTION), f"<answer>{text}\n</answer>") == "2"


def test_where_texts_must_be_printable_ascii_values_are_escaped_and_programs_refused() -> None:
    text = reply(CODE, block("input", "'é\\n☃'"), thought="")
    draft = read_task(PRINTABLE, Kind.DEDUCTION, text)
    assert isinstance(draft, Draft)
    assert draft.inputs == (r"'\xe9\n\u2603'",)
    refused = read_task(PRINTABLE, Kind.DEDUCTION, reply(block("python", "# é", PROGRAM), GIVEN, thought=""))
    assert refused == Malformed("program_characters", well_formed=True)


TAGS = ("<think>", "</think>", "<answer>", "</answer>", "```python\n", "```input\n", "```output\n", "```message\n", "```\n")
BITS = (PROGRAM, "def f(", "3", "'", "[", "(", "{", "\\", ",", "\n", " ", "é", "\x00", "f(a=1, a=2)", "*a", "**a", "9" * 5000)
pieces = st.sampled_from(TAGS + BITS)


@given(
    st.sampled_from([THINKS, BARE, PREFILLED, PRINTABLE]),
    st.sampled_from(list(Kind)),
    st.lists(pieces | st.text(), max_size=20),
)
def test_no_text_makes_the_parsers_raise(options: PythonOptions, kind: Kind, parts: list[str]) -> None:
    body = "".join(parts)
    for text in (body, reply(body), reply(CODE, body), reply(CODE, GIVEN, body, thought="")):
        assert isinstance(read_task(options, kind, text), Draft | Malformed)
        assert isinstance(read_inputs(options, PROGRAM, text), Draft | Malformed)
        assert isinstance(read_answer(options, task(kind), text), str | Malformed)
